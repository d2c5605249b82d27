import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { LINK_PREFIX } from '../../Models/links.ts';
import { ROUTES } from '../../Models/routes.ts';
import { uploadOf } from './form.ts';
import {
  below,
  EDITOR,
  folderAround,
  linked,
  type ModelLink,
  type ModelNode,
  NONE,
  newNode,
  OWNER,
  pathOf,
  Rights,
  ROLES,
  role,
  roleAround,
  spaceOf,
} from './rights_model.ts';
import { ask, type Memory, PROBES, word } from './rights_probes.ts';
import type { ServerFixture, User } from './server_fixture.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
const NODES_MAX = 40;
/** Steps between two visits by link. */
const VISITED = 3;
/** The newest, of which one is visited. */
const LINKS = 30;
/** Of a link that was revoked. */
const NOWHERE = -1;

export type WalkOptions = {
  readonly seed: number;
  readonly steps: number;
  /** So many of the principals are asked for one route each after each step; all routes come in turn. */
  readonly probes: number;
  readonly server: ServerFixture;
  /** After so many steps. */
  readonly afterStep?: (done: number, users: readonly User[]) => Promise<void>;
};

/** How often each route was asked, and how often where nothing was to be seen. */
export type Coverage = ReadonlyMap<string, { readonly shown: number; readonly hidden: number }>;

/** What a step would do: its words for a person, what must come of it, and how the model changes when it is done. */
type Step = { readonly what: string; run(): Promise<string>; readonly expected: string; done(): void };

export async function walkRights({ seed, steps, probes, server, afterStep }: WalkOptions): Promise<Coverage> {
  let state = seed | 0;
  const random = (count: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * count);
  };
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const users: User[] = [];
  for (const name of NAMES) users.push(await server.addUser(name));
  await server.addUser('erin');
  const rights = new Rights(NAMES);
  let names = 0;
  const fresh = (): string => {
    names += 1;
    return `node${names}x`;
  };
  const history: string[] = [];
  const memories = new Map<string, Memory>(NAMES.map((name) => [name, { names: new Set(), cursor: null }]));
  const coverage = new Map<string, { shown: number; hidden: number }>();
  const count = (route: string, isShown: boolean): void => {
    const seen = coverage.get(route) ?? { shown: 0, hidden: 0 };
    coverage.set(route, seen);
    seen[isShown ? 'shown' : 'hidden'] += 1;
  };

  const step = stepsOf({ server, rights, random, pick, fresh, users });
  for (let n = 0, probe = 0; n < steps; n += 1) {
    let next = step();
    while (next === null) next = step();
    history.push(`${n} ${next.what}: ${next.expected}`);
    const fail = (error: unknown): never => {
      throw new Error(`seed ${seed}, after\n${history.slice(-80).join('\n')}`, { cause: error });
    };
    const actual = await next.run().catch(fail);
    if (actual !== next.expected) fail(new Error(`${next.what} was ${actual} instead of ${next.expected}`));
    if (actual === 'ok') {
      next.done();
      rights.settle();
    }
    const nodes = rights.all();
    if (nodes.length === 0) continue;
    for (const { name } of users) {
      const memory = memories.get(name) as Memory;
      for (const node of nodes) for (const part of pathOf(name, node)?.split('/') ?? []) memory.names.add(part);
    }
    const first = random(users.length);
    for (let i = 0; i < probes; i += 1, probe += 1) {
      const user = users[(first + i) % users.length] as User;
      const memory = memories.get(user.name) as Memory;
      const one = PROBES[probe % PROBES.length] as (typeof PROBES)[number];
      const node = pick(nodes);
      const target = {
        server,
        rights,
        user,
        node,
        memory,
        role: role(user.name, node),
        path: pathOf(user.name, node) ?? foreignPath(rights, user.name, node),
      };
      const [found, wanted] = await one.run(target).catch(fail);
      try {
        assert.deepEqual(found, wanted);
      } catch (error) {
        history.push(`${user.name} (${ROLES[target.role] ?? 'stranger'}) asks ${one.route} of ${target.path} @${node.id}`);
        fail(error);
      }
      if (found !== null) count(one.route, target.role !== NONE);
    }
    if (n % VISITED === 0 && rights.links.size > 0) {
      const link = pick([...rights.links].slice(-LINKS));
      history.push(`somebody has the link of ${link.maker}'s to ${link.node.name}`);
      const [found, wanted] = await visit(server, rights, link).catch(fail);
      try {
        assert.deepEqual(found, wanted);
      } catch (error) {
        fail(error);
      }
      history.pop();
      count('GET link', wanted !== null);
    }
    await afterStep?.(n + 1, users).catch(fail);
    await setImmediate(); // whatever else the server does has its turn
  }
  return coverage;
}

/** Somebody without an account who has a link: the text of the file, the names in the folder, or nothing. */
async function visit(server: ServerFixture, rights: Rights, link: ModelLink): Promise<readonly [found: unknown, wanted: unknown]> {
  const node = linked(link);
  const accept = link.node.text === null ? 'application/json' : '*/*';
  const answer = await server.ask(null, { method: 'GET', url: `${LINK_PREFIX}/${link.token}`, headers: { accept } });
  if (answer.status !== 200) return [answer.status === 404 ? null : word(answer), node === null ? null : 'something'];
  if (link.node.text !== null) return [answer.bytes.toString(), node?.text ?? null];
  const names = answer.json().entries.map(({ name }: { name: string }) => name);
  return [names.sort(), node === null ? null : [...rights.listed(link.maker, node).keys()].sort()];
}

/** What somebody else calls it. */
function foreignPath(rights: Rights, user: string, node: ModelNode): string {
  const paths = rights.users.flatMap((other) => pathOf(other, node) ?? []);
  const path = paths[0] ?? '/nowhere';
  assert.equal(rights.at(user, path), null, 'names are used once');
  return path;
}

type World = {
  readonly server: ServerFixture;
  readonly rights: Rights;
  readonly users: readonly User[];
  random(count: number): number;
  pick<T>(from: readonly T[]): T;
  fresh(): string;
};

const isFolder = ({ text }: ModelNode): boolean => text === null;

function stepsOf({ server, rights, users, random, pick, fresh }: World): () => Step | null {
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
        if (share === null || isOwner) rights.remove(node);
        else if (roleAround(user.name, node) === NONE) share.grants.delete(user.name);
        else {
          rights.remove(node);
          rights.put(rights.home(share.owner), node);
        }
      },
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
    const isForeign = (one: ModelLink): boolean =>
      linked(one) !== null && [...below(one.node)].every((each) => role(user.name, each) === NONE);
    const some = [...rights.links].filter((one) => (one.maker === user.name ? one.nodeId !== NOWHERE : isForeign(one)));
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
  ];
  const wheel = kinds.flatMap(([weight, make_]) => Array.from({ length: weight }, () => make_));
  return () => (rights.all().length > NODES_MAX ? remove : pick(wheel))(pick(users));
}
