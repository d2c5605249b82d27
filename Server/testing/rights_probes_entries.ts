import { ROUTES } from '../../Models/routes.ts';
import { uploadOf } from './form.ts';
import { EDITOR, NONE, pathOf, ROLES } from './rights_model.ts';
import { ask, changes, get, isFile, type Outcome, outside, type Probe, post, query, seen, type Target, word } from './rights_probe.ts';
import type { Answer } from './server_fixture.ts';

/** Something new in the node: an editor's would be made, which is a step of the walk; who does not see the node makes folders of their own on the way. */
async function newChild(target: Target, send: (path: string) => Promise<Answer>): Promise<Outcome> {
  if (target.role >= EDITOR && !isFile(target.node)) return null;
  return [word(await send(`${target.path}/new`)), changes(target, 'not_a_folder')];
}

/** Of what is at a path. */
export const ENTRY_PROBES: readonly Probe[] = [
  {
    route: `GET ${ROUTES.entry}`,
    async run(target) {
      const answer = await get(target, ROUTES.entry);
      const shared = target.node.share === null ? null : { role: ROLES[target.role], owner: target.node.share.owner };
      return [answer.status === 200 ? { shared: answer.json().shared } : word(answer), seen(target, { shared })];
    },
  },
  {
    route: `GET ${ROUTES.list}`,
    async run(target) {
      const answer = await get(target, ROUTES.list);
      const names =
        answer.status === 200 ? answer.json().entries.map(({ path }: { path: string }) => path.slice(path.lastIndexOf('/') + 1)) : null;
      if (target.role === NONE || isFile(target.node)) return [word(answer), seen(target, 'not_a_folder')];
      return [names?.sort(), [...target.rights.listed(target.user.name, target.node).keys()].sort()];
    },
  },
  {
    route: `GET ${ROUTES.files}`,
    async run(target) {
      const answer = await get(target, ROUTES.files);
      return [answer.status === 200 ? answer.bytes.toString() : word(answer), seen(target, target.node.text ?? 'not_a_file')];
    },
  },
  {
    route: `HEAD ${ROUTES.files}`,
    run: async (target) => [(await get(target, ROUTES.files, 'HEAD')).status, target.role === NONE ? 404 : isFile(target.node) ? 200 : 409],
  },
  {
    route: `GET ${ROUTES.preview}`,
    async run(target) {
      const answer = await get(target, ROUTES.preview);
      return [answer.status === 200 ? answer.bytes.toString() : word(answer), seen(target, target.node.text ?? 'not_a_file')];
    },
  },
  {
    route: `GET ${ROUTES.search}`,
    async run(target) {
      const { node, user, path } = target;
      if (target.role !== NONE && !path.endsWith(`/${node.name}`)) return null; // a mount with a name of the user's own
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.search}?${new URLSearchParams({ text: node.name })}` });
      const paths: string[] = answer.json().entries.map((entry: { path: string }) => entry.path);
      return [paths, pathOf(user.name, node) === null ? [] : [path]];
    },
  },
  {
    route: `GET ${ROUTES.statistics}`,
    run: async (target) => [word(await get(target, ROUTES.statistics)), seen(target, isFile(target.node) ? 'not_a_folder' : 'ok')],
  },
  {
    route: `DELETE ${ROUTES.entry}`,
    async run(target) {
      const isOwner = target.node.share?.owner === target.user.name;
      const answer = await ask(target, { method: 'DELETE', url: `${ROUTES.entry}?${query(target.path, { base: '999999999' })}` });
      return [word(answer), isOwner && target.role !== NONE ? 'version_stale' : outside(target, 'version_stale')];
    },
  },
  {
    route: `POST ${ROUTES.move}`,
    run: async (target) => [word(await post(target, ROUTES.move, { from: target.path, to: target.path })), outside(target, 'ok')],
  },
  {
    route: `POST ${ROUTES.copy}`,
    run: async (target) => [
      word(await post(target, ROUTES.copy, { from: target.path, to: target.path })),
      outside(target, 'already_exists'),
    ],
  },
  {
    route: `POST ${ROUTES.folders}`,
    of: 'shown',
    run: (target) => newChild(target, (path) => post(target, ROUTES.folders, { path })),
  },
  {
    route: `POST ${ROUTES.files}`,
    of: 'shown',
    run: (target) => newChild(target, (path) => ask(target, uploadOf(path, 'new'))),
  },
  {
    route: `POST ${ROUTES.places}`,
    async run(target) {
      const [place] = (await post(target, ROUTES.places, { paths: [target.path] })).json().places;
      return [place?.path ?? null, target.role === NONE || !isFile(target.node) ? null : target.path];
    },
  },
];
