import { ROUTES } from '../../Models/routes.ts';
import { sha256 } from '../../Storage/verified_chunk.ts';
import { uploadOf } from './form.ts';
import {
  below,
  EDITOR,
  folderAround,
  isStillIn,
  linked,
  type ModelNode,
  NONE,
  newNode,
  OWNER,
  pathOf,
  type Rights,
  ROLES,
  role,
  roleAround,
  spaceOf,
} from './rights_model.ts';
import { ask, word } from './rights_probe.ts';
import type { ServerFixture, User } from './server_fixture.ts';

const NODES_MAX = 24;
const PUBLICATIONS_MAX = 8;
/** Of a link that was revoked. */
const NOWHERE = -1;

/** What a step would do: its words for a person, what must come of it, and how the model changes when it is done. */
export type Step = { readonly what: string; run(): Promise<string>; readonly expected: string; done(): void };

export type World = {
  readonly server: ServerFixture;
  readonly rights: Rights;
  readonly users: readonly User[];
  random(count: number): number;
  pick<T>(from: readonly T[]): T;
  fresh(): string;
};

const isFolder = ({ text }: ModelNode): boolean => text === null;

/** Makes the next step of the walk; null where what was drawn cannot be done now. */
export function stepsOf({ server, rights, users, random, pick, fresh }: World): () => Step | null {
  const post = (user: User, url: string, payload: object) => ask({ server, user }, { method: 'POST', url, payload });
  const seenBy = (user: User): ModelNode[] => rights.all().filter((node) => role(user.name, node) !== NONE);
  const path = (user: User, node: ModelNode): string => pathOf(user.name, node) || '/';
  const childOf = (user: User, folder: ModelNode, name: string): string => `${pathOf(user.name, folder)}/${name}`;
  const folders = (user: User): ModelNode[] => [rights.home(user.name), ...seenBy(user).filter(isFolder)];
  const learn = async (user: User, node: ModelNode, at: string): Promise<void> => {
    const [entry] = await server.metadata.stat({ userId: user.id, userName: user.name, deviceId: '2'.repeat(32) }, [at]);
    node.id = entry?.nodeId ?? 0;
  };

  function make(user: User): Step {
    const folder = pick(folders(user));
    const name = fresh();
    const at = childOf(user, folder, name);
    const isText = random(2) === 0;
    const node = newNode(name, isText ? `the text of ${name}` : null);
    return {
      what: `${user.name} makes ${at}${isText ? ' (file)' : ''}`,
      expected: role(user.name, folder) < EDITOR ? 'forbidden' : 'ok',
      async run() {
        const answer = isText
          ? await ask({ server, user }, uploadOf(at, node.text as string))
          : await post(user, ROUTES.folders, { path: at });
        if (answer.status === 200) await learn(user, node, at);
        return word(answer);
      },
      done() {
        rights.add(folder, node);
        if (isText) rights.note(rights.home(user.name), node); // what a user sends is theirs
      },
    };
  }

  /** Shared folders that the user sees below a node of theirs. */
  const holdsShares = (user: User, node: ModelNode): boolean => {
    const own = `${path(user, node)}/`;
    return rights.shares().some((share) => pathOf(user.name, share)?.startsWith(own));
  };

  function move(user: User): Step | null {
    const mine = seenBy(user);
    if (mine.length === 0) return null;
    const node = pick(mine);
    const from = path(user, node);
    const folder = pick(folders(user));
    const name = random(2) === 0 ? from.slice(from.lastIndexOf('/') + 1) : fresh();
    const to = childOf(user, folder, name);
    const around = folderAround(user.name, node);
    const crosses = spaceOf(around) !== spaceOf(folder);
    const expected = (): string => {
      if (role(user.name, around) < EDITOR || role(user.name, folder) < EDITOR) return 'forbidden';
      if (to === from) return 'ok';
      if (rights.listed(user.name, folder).has(name)) return 'already_exists';
      if (to.startsWith(`${from}/`)) return 'folder_into_itself';
      if (!crosses) return 'ok';
      if (node.share !== null) return node.share.owner === user.name ? 'ok' : 'forbidden';
      return holdsShares(user, node) ? 'forbidden' : 'ok';
    };
    return {
      what: `${user.name} moves ${from} to ${to}`,
      expected: expected(),
      async run() {
        const answer = await post(user, ROUTES.move, { from, to });
        if (answer.status === 200 && crosses && node.share === null) {
          for (const each of below(node)) await learn(user, each, to + path(user, each).slice(from.length)); // copies, with ids of their own
        }
        return word(answer);
      },
      done() {
        const spot = roleAround(user.name, node) === NONE ? node.share?.spots.get(user.name) : undefined;
        if (spot !== undefined) Object.assign(spot, { folder, name });
        else {
          rights.remove(node);
          node.name = name;
          if (node.share === null) rights.add(folder, node);
          else rights.put(folder, node);
        }
      },
    };
  }

  function remove(user: User): Step | null {
    const mine = seenBy(user);
    if (mine.length === 0) return null;
    const node = pick(mine);
    const at = path(user, node);
    const around = folderAround(user.name, node);
    const { share } = node;
    const isOwner = share?.owner === user.name;
    const inner = [...below(node)].some((each) => each !== node && each.share !== null);
    const expected = (): string => {
      if (!isOwner && role(user.name, around) < EDITOR) return 'forbidden';
      if (share === null) return holdsShares(user, node) ? 'forbidden' : 'ok';
      return isOwner && inner ? 'forbidden' : 'ok';
    };
    return {
      what: `${user.name} deletes ${at}`,
      expected: expected(),
      run: async () => word(await ask({ server, user }, { method: 'DELETE', url: `${ROUTES.entry}?${new URLSearchParams({ path: at })}` })),
      done() {
        if (share === null) rights.bury(node);
        else if (isOwner) rights.remove(node);
        else if (roleAround(user.name, node) === NONE) share.grants.delete(user.name);
        else {
          rights.remove(node);
          rights.put(rights.home(share.owner), node);
        }
      },
    };
  }

  /** Something deleted whose folder is where it was; what was deleted in a space that the folder is no longer in is another matter. */
  function undelete(user: User): Step | null {
    const some = rights.trash.filter(isStillIn).slice(-NODES_MAX);
    if (some.length === 0) return null;
    const gone = pick(some);
    const { node, folder, toldTo } = gone;
    const expected = (): string => {
      if (!toldTo.has(user.name)) return 'not_found';
      if (role(user.name, folder) < EDITOR) return 'forbidden';
      return rights.listed(user.name, folder).has(node.name) ? 'already_exists' : 'ok';
    };
    return {
      what: `${user.name} undeletes ${node.name} @${node.id} in ${pathOf(user.name, folder)}`,
      expected: expected(),
      run: async () => word(await post(user, ROUTES.undelete, { id: node.id })),
      done: () => rights.raise(gone),
    };
  }

  function publish(user: User): Step | null {
    if (rights.publications.size >= PUBLICATIONS_MAX) return withdraw(user);
    const name = fresh();
    const shares = rights.shares().filter((node) => role(user.name, node) !== NONE);
    const share = shares.length === 0 || random(3) === 0 ? null : pick(shares);
    const others = random(2) === 0 ? 'everyone' : new Set([pick(users).name]);
    let id = '';
    return {
      what: `${user.name} publishes ${name} for ${share === null ? [...others].join('') : path(user, share)}`,
      expected: 'ok',
      async run() {
        const group = others === 'everyone' ? { kind: others } : { kind: 'users', users: [...others] };
        const audience = share === null ? group : { kind: 'space', path: path(user, share) };
        const answer = await post(user, ROUTES.publications, { name, audience });
        if (answer.status !== 200) return word(answer);
        ({ id } = answer.json());
        const file = { path: 'file', size: name.length, digest: sha256(Buffer.from(name)).toString('hex') };
        return word(await post(user, `${ROUTES.publications}/${id}/files`, { files: [file], gone: [] }));
      },
      done: () => void rights.publications.add({ id, owner: user.name, audience: share ?? others }),
    };
  }

  function withdraw(user: User): Step | null {
    const mine = [...rights.publications].filter(({ owner }) => owner === user.name);
    if (mine.length === 0) return null;
    const one = pick(mine);
    return {
      what: `${user.name} withdraws what is published`,
      expected: 'ok',
      run: async () => word(await ask({ server, user }, { method: 'DELETE', url: `${ROUTES.publications}/${one.id}` })),
      done: () => void rights.publications.delete(one),
    };
  }

  function invite(user: User): Step | null {
    const mine = seenBy(user).filter(isFolder);
    if (mine.length === 0) return null;
    const node = pick(mine);
    const other = pick(users);
    const given = random(3);
    let id = '';
    const shown = path(user, node);
    const foreign =
      node.share === null &&
      spaceOf(node).home === user.name &&
      rights.shares().some((one) => pathOf(user.name, one)?.startsWith(`${shown}/`) && one.share?.owner !== user.name);
    const expected = (): string => {
      if (other === user) return 'invitation_invalid';
      if (role(user.name, node) < OWNER) return 'forbidden';
      if (foreign || role(other.name, node) !== NONE || node.share?.invited.has(other.name)) return 'invitation_invalid';
      return 'ok';
    };
    return {
      what: `${user.name} invites ${other.name} to ${shown} as ${ROLES[given]}`,
      expected: expected(),
      async run() {
        const answer = await post(user, ROUTES.invitations, { path: shown, user: other.name, role: ROLES[given] });
        if (answer.status === 200) id = answer.json().id;
        return word(answer);
      },
      done() {
        const name = shown.slice(shown.lastIndexOf('/') + 1);
        rights.share(node).invited.set(other.name, { id, role: given, from: user.name, name });
      },
    };
  }

  function answer(user: User): Step | null {
    const open = rights.shares().flatMap((node) => (node.share?.invited.has(user.name) ? [node] : []));
    if (open.length === 0) return null;
    const node = pick(open);
    const { invited, grants, spots } = node.share as NonNullable<ModelNode['share']>;
    const { id, role: given, name } = invited.get(user.name) as { id: string; role: number; name: string };
    const accepts = random(4) > 0;
    return {
      what: `${user.name} ${accepts ? 'accepts' : 'declines'} ${name}`,
      expected: 'ok',
      run: async () => word(await post(user, `${ROUTES.invitations}/${id}/${accepts ? 'accept' : 'decline'}`, {})),
      done() {
        invited.delete(user.name);
        if (!accepts) return;
        if (role(user.name, node) === NONE) spots.set(user.name, { folder: rights.home(user.name), name });
        grants.set(user.name, given);
      },
    };
  }

  /** A shared folder, and who is to have another role there, or none. */
  function change(user: User, what: 'role' | 'uninvite'): Step | null {
    const shares = rights.shares().filter((node) => role(user.name, node) !== NONE);
    if (shares.length === 0) return null;
    const node = pick(shares);
    const share = node.share as NonNullable<ModelNode['share']>;
    const other = pick(users).name;
    const given = random(3);
    const inherited = node.parent === null ? NONE : roleAround(other, node);
    const invited = share.invited.get(other);
    const isMember = role(other, node) !== NONE;
    const expected = (): string => {
      if (role(user.name, node) < OWNER || other === share.owner) return 'forbidden';
      if (what === 'role') return isMember ? (given < inherited ? 'forbidden' : 'ok') : invited === undefined ? 'user_unknown' : 'ok';
      if (!isMember && invited === undefined) return 'user_unknown';
      return isMember && !share.grants.has(other) && invited === undefined ? 'forbidden' : 'ok';
    };
    const body = { path: path(user, node), user: other };
    return {
      what: `${user.name} ${what === 'role' ? `makes ${other} ${ROLES[given]}` : `uninvites ${other}`} of ${body.path}`,
      expected: expected(),
      run: async () =>
        word(
          what === 'role'
            ? await post(user, ROUTES.members, { ...body, role: ROLES[given] })
            : await ask({ server, user }, { method: 'DELETE', url: `${ROUTES.members}?${new URLSearchParams(body)}` }),
        ),
      done() {
        if (what === 'role' && isMember) {
          share.grants.set(other, given);
          share.invited.delete(other);
        } else if (what === 'role' && invited !== undefined) share.invited.set(other, { ...invited, role: given });
        else {
          share.invited.delete(other);
          share.grants.delete(other);
        }
      },
    };
  }

  function leave(user: User): Step | null {
    const shares = rights.shares().filter((node) => role(user.name, node) !== NONE);
    if (shares.length === 0) return null;
    const node = pick(shares);
    const share = node.share as NonNullable<ModelNode['share']>;
    const may = share.owner !== user.name && share.grants.has(user.name);
    return {
      what: `${user.name} leaves ${path(user, node)}`,
      expected: may ? 'ok' : 'forbidden',
      run: async () => word(await post(user, ROUTES.leave, { path: path(user, node) })),
      done: () => void share.grants.delete(user.name),
    };
  }

  function link(user: User): Step | null {
    const mine = seenBy(user);
    if (mine.length === 0) return null;
    const node = pick(mine);
    let made: { id: string; token: string };
    return {
      what: `${user.name} makes a link to ${path(user, node)}`,
      expected: 'ok',
      async run() {
        const answer = await post(user, ROUTES.links, { path: path(user, node) });
        made = answer.json();
        return word(answer);
      },
      done: () => void rights.links.add({ id: made.id, token: made.token, maker: user.name, node, nodeId: node.id }),
    };
  }

  /** A link of the user's, or one to what is there and has nothing in it that is theirs to see. */
  function unlink(user: User): Step | null {
    const some = [...rights.links].filter((one) =>
      one.maker === user.name ? one.nodeId !== NOWHERE : linked(one) !== null && rights.isForeign(user.name, one),
    );
    if (some.length === 0) return null;
    const one = pick(some);
    return {
      what: `${user.name} revokes a link of ${one.maker}'s to ${one.node.name}`,
      expected: one.maker === user.name ? 'ok' : 'not_found',
      run: async () => word(await ask({ server, user }, { method: 'DELETE', url: `${ROUTES.links}/${one.id}` })),
      done() {
        rights.links.delete(one);
        rights.links.add({ ...one, nodeId: NOWHERE });
      },
    };
  }

  const kinds: readonly (readonly [weight: number, (user: User) => Step | null])[] = [
    [5, make],
    [7, move],
    [2, remove],
    [5, invite],
    [5, answer],
    [2, (user) => change(user, 'role')],
    [1, (user) => change(user, 'uninvite')],
    [1, leave],
    [2, link],
    [1, unlink],
    [2, undelete],
    [1, publish],
    [1, withdraw],
  ];
  const wheel = kinds.flatMap(([weight, make_]) => Array.from({ length: weight }, () => make_));
  return () => (rights.all().length > NODES_MAX ? remove : pick(wheel))(pick(users));
}
