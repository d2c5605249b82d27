import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { LINK_PREFIX } from '../../Models/links.ts';
import { linked, type ModelLink, type ModelNode, NONE, pathOf, Rights, ROLES, role } from './rights_model.ts';
import { type Memory, type Outcome, type Probe, principalOf, type Target, word } from './rights_probe.ts';
import { PROBES } from './rights_probes.ts';
import { stepsOf } from './rights_steps.ts';
import type { ServerFixture, User } from './server_fixture.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
/** Changes for each visit by link. */
const VISITED = 6;
/** The newest, of which one is visited. */
const LINKS = 30;
/** Nodes that a probe is offered, for of some it has nothing to ask. */
const OFFERED = 24;
/** Nodes deleted last, that must be gone. */
const BURIED = 4;

export type WalkOptions = {
  readonly seed: number;
  readonly steps: number;
  /** So many requests after each change; all routes and principals come in turn. `all`: every route for every principal. */
  readonly probes: number | 'all';
  /** After these steps, more of them. */
  readonly afterwards?: { readonly steps: number; readonly probes: number | 'all' };
  readonly server: ServerFixture;
  /** After so many changes. */
  readonly afterChange?: (done: number, users: readonly User[]) => Promise<void>;
};

const NEVER = { shown: 0, hidden: 0 };

export const nameOf = ({ route, what }: Probe): string => (what === undefined ? route : `${route} (${what})`);
export const VISIT = 'links';

/** How often each route was asked, and how often where nothing was to be seen. */
export type Coverage = ReadonlyMap<string, { readonly shown: number; readonly hidden: number }>;

export async function walkRights({ seed, steps, probes, afterwards, server, afterChange }: WalkOptions): Promise<Coverage> {
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
  const memories = new Map<string, Memory>(NAMES.map((name) => [name, { names: new Set(), paths: new Set(), cursor: null }]));
  const coverage = new Map<string, { shown: number; hidden: number }>();
  const count = (route: string, isShown: boolean): void => {
    const seen = coverage.get(route) ?? { ...NEVER };
    coverage.set(route, seen);
    seen[isShown ? 'shown' : 'hidden'] += 1;
  };

  let changes = 0;
  let turn = 0;
  /** All routes in turn, each for another principal than the time before. */
  const some = (howMany: number) =>
    Array.from({ length: howMany }, () => {
      turn += 1;
      return {
        probe: PROBES[turn % PROBES.length] as Probe,
        user: users[(turn + Math.floor(turn / PROBES.length)) % users.length] as User,
      };
    });
  /**
   * What a probe may be asked of: first what can be seen, or what cannot, whichever it was asked of less often, then all. Nodes that one may only read
   * are few: each role is asked about as often as each other.
   */
  function* offered(user: string, probe: Probe, nodes: readonly ModelNode[]): Generator<ModelNode> {
    const { shown, hidden } = coverage.get(nameOf(probe)) ?? NEVER;
    const ofHidden = probe.of === undefined ? hidden < shown : probe.of === 'hidden';
    const byRole = Map.groupBy(nodes, (node) => role(user, node));
    const all = [...byRole.keys()];
    const wanted = all.filter((each) => (each === NONE) === ofHidden);
    for (let n = 0; n < OFFERED; n += 1) {
      const roles = n < OFFERED / 2 || probe.of !== undefined ? wanted : all;
      if (roles.length > 0) yield pick(byRole.get(pick(roles)) as ModelNode[]);
    }
  }
  const step = stepsOf({ server, rights, random, pick, fresh, users });
  for (let n = 0; n < steps + (afterwards?.steps ?? 0); n += 1) {
    const wanted = afterwards === undefined || n < steps ? probes : afterwards.probes;
    let next = step();
    while (next === null) next = step();
    history.push(`${n} ${next.what}: ${next.expected}`);
    const fail = (error: unknown, asked = ''): never => {
      throw new Error(`seed ${seed}, after\n${history.slice(-80).join('\n')}\n${asked}`, { cause: error });
    };
    const actual = await next.run().catch((error: unknown) => fail(error));
    if (actual !== next.expected) fail(new Error(`${next.what} was ${actual} instead of ${next.expected}`));
    if (actual !== 'ok') continue; // had it changed anything, the next comparison would show it
    changes += 1;
    next.done();
    rights.settle();
    const nodes = rights.all();
    for (const { name } of users) {
      const memory = memories.get(name) as Memory;
      for (const path of nodes.map((node) => pathOf(name, node))) {
        if (path === null) continue;
        memory.paths.add(path);
        for (const part of path.split('/')) memory.names.add(part);
      }
    }
    await everyoneSees(server, rights, users).catch((error: unknown) => fail(error));
    if (nodes.length === 0) continue;
    const asked = wanted === 'all' ? users.flatMap((user) => PROBES.map((probe) => ({ user, probe }))) : some(wanted);
    for (const { user, probe } of asked) {
      for (const node of offered(user.name, probe, nodes)) {
        const target = {
          ...{ server, rights, users, user, node },
          memory: memories.get(user.name) as Memory,
          role: role(user.name, node),
          path: pathOf(user.name, node) ?? foreignPath(rights, user.name, node),
        };
        const outcome = await probe.run(target).catch((error: unknown) => fail(error, questionOf(target, probe)));
        if (outcome === null) continue;
        compare(outcome, (error) => fail(error, questionOf(target, probe)));
        count(nameOf(probe), target.role !== NONE);
        break;
      }
    }
    if (random(VISITED) === 0 && rights.links.size > 0) {
      const link = pick([...rights.links].slice(-LINKS));
      const visited = `somebody has the link of ${link.maker}'s to ${link.node.name}`;
      compare(await visit(server, rights, link).catch((error: unknown) => fail(error, visited)), (error) => fail(error, visited));
      count(VISIT, linked(link) !== null);
    }
    await afterChange?.(changes, users).catch((error: unknown) => fail(error));
    await setImmediate(); // whatever else the server does has its turn
  }
  return coverage;
}

function questionOf({ user, role: own, path, node }: Target, probe: Probe): string {
  return `${user.name} (${ROLES[own] ?? 'stranger'}) asks ${nameOf(probe)} of ${path} @${node.id}`;
}

function compare([found, wanted]: NonNullable<Outcome>, fail: (error: unknown) => never): void {
  try {
    assert.deepEqual(found, wanted);
  } catch (error) {
    fail(error);
  }
}

/**
 * Each principal finds each node, or does not, where the model says and with the role that it says. This is how every route finds what it is
 * asked for (the view of a user, and the way up from a node); that each route asks it, and for the role that it needs, is what the probes are for.
 */
async function everyoneSees({ metadata }: ServerFixture, rights: Rights, users: readonly User[]): Promise<void> {
  const nodes = [...rights.all(), ...rights.trash.slice(-BURIED).map(({ node }) => node)];
  const paths = nodes.map(({ id }) => `@${id}`);
  for (const user of users) {
    const found = await metadata.stat(principalOf(user), paths);
    const wanted = nodes.map((node) => {
      const own = role(user.name, node);
      return own === NONE ? null : `${pathOf(user.name, node)} ${node.share === null ? '' : `${ROLES[own]} ${node.share.owner}`}`;
    });
    const actual = found.map(
      (entry) => entry && `${entry.path} ${entry.shared === null ? '' : `${entry.shared.role} ${entry.shared.owner}`}`,
    );
    assert.deepEqual(actual, wanted, `what ${user.name} sees`);
  }
}

/** Somebody without an account who has a link: the text of the file, the names in the folder, or nothing. */
async function visit(server: ServerFixture, rights: Rights, link: ModelLink): Promise<NonNullable<Outcome>> {
  const node = linked(link);
  const url = `${LINK_PREFIX}/${link.token}`;
  const show = async (below: string, of: ModelNode): Promise<unknown> => {
    const accept = of.text === null ? 'application/json' : '*/*';
    const answer = await server.ask(null, { method: 'GET', url: `${url}${below}`, headers: { accept } });
    if (answer.status !== 200) return word(answer);
    if (of.text !== null) return answer.bytes.toString();
    return (answer.json().entries as { name: string }[]).map(({ name }) => name).sort();
  };
  const shown = (of: ModelNode): unknown => (node === null ? 'not_found' : (of.text ?? [...rights.listed(link.maker, of).keys()].sort()));
  const [inside] = rights.listed(link.maker, link.node);
  const sent = await server.ask(null, { method: 'PUT', url: `${url}/new`, payload: 'new' });
  const found = [await show('', link.node), word(sent), inside === undefined ? null : await show(`/${inside[0]}`, inside[1])];
  return [found, [shown(link.node), node === null ? 'not_found' : 'forbidden', inside === undefined ? null : shown(inside[1])]];
}

/** What somebody else calls it. */
function foreignPath(rights: Rights, user: string, node: ModelNode): string {
  const paths = rights.users.flatMap((other) => pathOf(other, node) ?? []);
  const path = paths[0] ?? '/nowhere';
  assert.equal(rights.at(user, path), null, 'names are used once');
  return path;
}
