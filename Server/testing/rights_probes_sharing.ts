import { ROUTES } from '../../Models/routes.ts';
import { isPublishedTo, linked, type ModelNode, type ModelPublication, NONE, OWNER, ROLES, role, spaceOf } from './rights_model.ts';
import { ask, get, isFile, notOwner, type Probe, post, query, seen, type Target, word } from './rights_probe.ts';

function membersOf({ rights, node }: Target): string[] {
  return rights.users.flatMap((name) => (role(name, node) === NONE ? [] : [`${name} ${ROLES[role(name, node)]}`])).sort();
}

const firstOwner = (node: ModelNode): string => spaceOf(node).share?.owner ?? (spaceOf(node).home as string);

function foreignPublication({ rights, user, node }: Target): ModelPublication | undefined {
  const foreign = [...rights.publications].filter(({ owner }) => owner !== user.name);
  return foreign[node.id % Math.max(1, foreign.length)];
}

/** Of who shares what, of links, and of what devices publish. */
export const SHARING_PROBES: readonly Probe[] = [
  {
    route: `GET ${ROUTES.members}`,
    async run(target) {
      const answer = await get(target, ROUTES.members);
      if (answer.status !== 200) return [word(answer), seen(target, 'ok')];
      const members = answer.json().members.filter(({ state }: { state: string }) => state === 'member');
      return [members.map((one: { user: string; role: string }) => `${one.user} ${one.role}`).sort(), seen(target, membersOf(target))];
    },
  },
  {
    route: `POST ${ROUTES.members}`,
    run: async (target) => [
      word(await post(target, ROUTES.members, { path: target.path, user: 'erin', role: 'viewer' })),
      notOwner(target, 'user_unknown'),
    ],
  },
  {
    route: `DELETE ${ROUTES.members}`,
    run: async (target) => [
      word(await ask(target, { method: 'DELETE', url: `${ROUTES.members}?${query(target.path, { user: 'erin' })}` })),
      notOwner(target, 'user_unknown'),
    ],
  },
  {
    route: `POST ${ROUTES.invitations}`,
    async run(target) {
      if (target.role === OWNER && !isFile(target.node)) return null; // it would be made
      const answer = await post(target, ROUTES.invitations, { path: target.path, user: 'erin' });
      return [word(answer), seen(target, isFile(target.node) ? 'not_a_folder' : 'forbidden')];
    },
  },
  {
    route: `POST ${ROUTES.leave}`,
    async run(target) {
      const { node, user, role: own } = target;
      if (own !== NONE && node.share !== null && node.share.owner !== user.name && node.share.grants.has(user.name)) return null;
      const answer = await post(target, ROUTES.leave, { path: target.path });
      return [word(answer), own === NONE || node.share === null ? 'not_found' : 'forbidden'];
    },
  },
  {
    route: `GET ${ROUTES.invitations}`,
    async run({ server, user, rights }) {
      const { received, sent } = (await ask({ server, user }, { method: 'GET', url: ROUTES.invitations })).json();
      const open = (all: { state: string; id: string }[]) =>
        all
          .filter(({ state }) => state === 'pending')
          .map(({ id }) => id)
          .sort();
      const mine: string[] = [];
      const made: string[] = [];
      for (const node of rights.shares())
        for (const [to, { id }] of node.share?.invited ?? []) {
          if (to === user.name) mine.push(id);
          if (role(user.name, node) >= OWNER) made.push(id);
        }
      return [
        [open(received), open(sent)],
        [mine.sort(), made.sort()],
      ];
    },
  },
  {
    route: `POST ${ROUTES.invitations}/:id/accept`,
    what: 'and decline',
    of: 'hidden', // what others are invited to, wherever that is
    async run({ server, user, rights }) {
      const foreign = rights
        .shares()
        .flatMap((node) =>
          Array.from(node.share?.invited ?? [], ([to, { id }]) => ({ to, id, mayTakeBack: role(user.name, node) >= OWNER })),
        );
      const one = foreign.find(({ to, mayTakeBack }) => to !== user.name && !mayTakeBack);
      if (one === undefined) return null;
      const answers = [];
      for (const verb of ['accept', 'decline'])
        answers.push(word(await post({ server, user }, `${ROUTES.invitations}/${one.id}/${verb}`, {})));
      return [answers, ['not_found', 'not_found']];
    },
  },
  {
    route: `POST ${ROUTES.links}`,
    async run(target) {
      const answer = await post(target, ROUTES.links, { path: target.path });
      if (answer.status === 200) await ask(target, { method: 'DELETE', url: `${ROUTES.links}/${answer.json().id}` });
      return [word(answer), seen(target, 'ok')];
    },
  },
  {
    route: `GET ${ROUTES.links}`,
    async run(target) {
      const { rights, user } = target;
      const links = (await ask(target, { method: 'GET', url: ROUTES.links })).json().links as { id: string }[];
      const shown = new Set(links.map(({ id }) => id));
      const own = [...rights.links].filter((link) => link.maker === user.name && link.nodeId === link.node.id && linked(link) !== null);
      const strange = [...rights.links].filter((link) => shown.has(link.id) && linked(link) !== null && rights.isForeign(user.name, link));
      return [[own.filter(({ id }) => !shown.has(id)), strange].map((some) => some.map(({ id }) => id)), [[], []]];
    },
  },
  {
    route: `GET ${ROUTES.links}/:id/log`,
    async run(target) {
      const { rights, user, node } = target;
      const links = [...rights.links].filter((one) => linked(one) !== null);
      const link = links[node.id % Math.max(1, links.length)];
      if (link === undefined || (link.maker !== user.name && !rights.isForeign(user.name, link))) return null;
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.links}/${link.id}/log` });
      return [word(answer), link.maker === user.name ? 'ok' : 'not_found'];
    },
  },
  {
    route: `GET ${ROUTES.usage}`,
    async run(target) {
      const { live, shared } = (await ask(target, { method: 'GET', url: ROUTES.usage })).json();
      const { rights, user } = target;
      const bytes = (isMine: boolean): number => {
        const files = rights.all().filter((node) => (firstOwner(node) === user.name) === isMine && role(user.name, node) !== NONE);
        return files.reduce((sum, { text }) => sum + (text?.length ?? 0), 0);
      };
      return [
        [live, shared],
        [bytes(true), bytes(false)],
      ];
    },
  },
  {
    route: `GET ${ROUTES.limits}`,
    run: async (target) => [word(await get(target, ROUTES.limits)), 'forbidden'],
  },
  {
    route: `POST ${ROUTES.limits}`,
    run: async (target) => [word(await post(target, ROUTES.limits, { quota: 1 })), 'forbidden'],
  },
  {
    route: `GET ${ROUTES.published}`,
    async run(target) {
      const { rights, user } = target;
      const answer = await ask(target, { method: 'GET', url: ROUTES.published });
      const ids = (answer.json().files as { publication: string }[]).map(({ publication }) => publication);
      const mine = [...rights.publications].filter((one) => isPublishedTo(user.name, one)).map(({ id }) => id);
      return [ids.sort(), mine.sort()];
    },
  },
  {
    route: `GET ${ROUTES.publishedContent}`,
    async run(target) {
      const { rights, user, node } = target;
      const one = [...rights.publications][node.id % Math.max(1, rights.publications.size)];
      if (one === undefined) return null;
      const url = `${ROUTES.publishedContent}?${query('file', { id: one.id })}`;
      return [word(await ask(target, { method: 'GET', url })), isPublishedTo(user.name, one) ? 'owner_offline' : 'not_found'];
    },
  },
  {
    route: `GET ${ROUTES.publications}`,
    async run(target) {
      const { rights, user } = target;
      const { publications } = (await ask(target, { method: 'GET', url: ROUTES.publications })).json();
      const own = [...rights.publications].filter(({ owner }) => owner === user.name);
      return [publications.map(({ id }: { id: string }) => id).sort(), own.map(({ id }) => id).sort()];
    },
  },
  {
    route: `POST ${ROUTES.publications}/:id/files`,
    async run(target) {
      const foreign = foreignPublication(target);
      if (foreign === undefined) return null;
      return [word(await post(target, `${ROUTES.publications}/${foreign.id}/files`, { files: [], gone: ['file'] })), 'not_found'];
    },
  },
  {
    route: `DELETE ${ROUTES.publications}/:id`,
    async run(target) {
      const foreign = foreignPublication(target);
      if (foreign === undefined) return null;
      return [word(await ask(target, { method: 'DELETE', url: `${ROUTES.publications}/${foreign.id}` })), 'not_found'];
    },
  },
];
