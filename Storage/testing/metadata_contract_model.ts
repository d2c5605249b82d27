import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeAnchored } from '../../Models/names.ts';
import type { Base, Operation } from '../../Models/operations.ts';
import { testSeed } from '../../Models/testing/test_seed.ts';
import type { Metadata, Principal } from '../metadata.ts';
import { openFollower } from './feed_follower.ts';
import {
  allChanges,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  type OpenPlace,
  person,
  put,
  symlink,
  words,
} from './metadata_fixture.ts';
import {
  applyToModel,
  MODEL_NOW_MS,
  type Model,
  type ModelFolder,
  type ModelNode,
  modelListing,
  modelNodes,
  newModelFolder,
  noteVersion,
  plainPath,
  versionAt,
} from './metadata_model.ts';

const RUNS = 30;

/** Few names, so that they meet: two that fold to one in ASCII, two beyond it. */
const name = fc.constantFrom('a', 'A', 'b', 'é', 'e\u0301', 'ß', 'SS');
const path = fc
  .tuple(fc.boolean(), fc.array(name, { minLength: 1, maxLength: 3 }))
  .map(([shared, names]) => `${shared ? '/team' : ''}/${names.join('/')}`);
const where: fc.Arbitrary<Where> = fc.oneof(
  {
    weight: 2,
    arbitrary: path.map(
      (at): Where =>
        () =>
          at,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(), fc.array(name, { maxLength: 2 })).map(
      ([node, names]): Where =>
        ({ anchored }) =>
          anchored(node, names),
    ),
  },
);
const content = fc.constantFrom(contentOf(), contentOf('one'), contentOf('two'), contentOf('two', 'parts'));
/** What a draft may look at: the versions before its batch, and a path from the node of that number on, be it there still or not. */
type Before = { versionOf(path: string): number | null; anchored(node: number, names: readonly string[]): string };
type Draft = (before: Before) => Operation;
type Where = (before: Before) => string;

const base = fc.constantFrom<'any' | 'absent' | 'current' | 'stale'>('any', 'any', 'absent', 'current', 'current', 'stale');
const resolved = (wanted: 'any' | 'absent' | 'current' | 'stale', version: number | null): Base =>
  wanted === 'any' || wanted === 'absent' ? wanted : wanted === 'current' ? (version ?? 'absent') : 987_654;

const draft: fc.Arbitrary<Draft> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(where, content, base, fc.constantFrom(1, 2), fc.constantFrom(0o600, 0o755)).map(
      ([place, what, on, mtimeUs, mode]): Draft =>
        (before) => {
          const at = place(before);
          return put(at, what, { base: resolved(on, before.versionOf(at)), mtimeUs, mode });
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(where, base).map(
      ([place, on]): Draft =>
        (before) => {
          const at = place(before);
          return symlink(at, 'target', resolved(on, before.versionOf(at)));
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(where, fc.boolean(), fc.constantFrom(null, 0o700), fc.constantFrom(null, 3)).map(
      ([place, existingOk, mode, mtimeUs]): Draft =>
        (before) => ({ kind: 'mkdir', path: place(before), existingOk, mode, mtimeUs }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(where, where, base).map(
      ([from, to, on]): Draft =>
        (before) =>
          move(from(before), to(before), resolved(on, before.versionOf(from(before)))),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(where, where).map(
      ([from, to]): Draft =>
        (before) =>
          copy(from(before), to(before)),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(where, base, fc.boolean()).map(
      ([place, on, onlyEmpty]): Draft =>
        (before) => ({ kind: 'delete', path: place(before), base: resolved(on, before.versionOf(place(before))), onlyEmpty }),
    ),
  },
);
const batches = fc.array(fc.tuple(fc.boolean(), fc.array(draft, { minLength: 1, maxLength: 8 })), { minLength: 1, maxLength: 12 });

/** The tree as one gets it by following the change feed from its beginning: path and content id of everything. */
async function replayed(store: Metadata, who: Principal): Promise<string[]> {
  const tree = new Map<string, string>();
  const below = (top: string): string[] => [...tree.keys()].filter((known) => known === top || known.startsWith(`${top}/`));
  const { changes } = await allChanges(store, who, null, 7);
  for (const { kind, path: at, fromPath, digest, details } of changes) {
    if (details !== undefined) continue; // a notice
    if (kind === 'delete') for (const known of below(at)) tree.delete(known);
    else if (kind === 'move') {
      for (const known of below(fromPath as string)) {
        const value = tree.get(known) as string;
        tree.delete(known);
        tree.set(at + known.slice((fromPath as string).length), value);
      }
    } else tree.set(at, digest?.toString('hex').slice(0, 8) ?? '');
  }
  return Array.from(tree, ([at, what]) => `${at} ${what}`.trim()).sort();
}

async function listed(store: Metadata, who: Principal): Promise<string[]> {
  const { entries } = await store.page(who, { path: '/', search: null, sort: 'name', descending: false, after: null, limit: 5000 });
  const lines: string[] = [];
  const add = async (found: typeof entries): Promise<void> => {
    for (const entry of found) {
      lines.push(`${entry.path} ${entry.digest === null ? '' : Buffer.from(entry.digest).toString('hex').slice(0, 8)}`.trim());
      if (entry.kind !== 'folder') continue;
      await add(
        (await store.page(who, { path: entry.path, search: null, sort: 'size', descending: true, after: null, limit: 5000 })).entries,
      );
    }
  };
  await add(entries);
  return lines.sort();
}

type Pair = { readonly who: Principal; readonly root: ModelFolder };

/** Two users who share `/team`, in the port and in the model. */
async function pair(store: Metadata, run: number): Promise<[Pair, Pair]> {
  const [owner, member] = [person(`owner ${run}`), person(`member ${run}`)];
  await done(store, owner, [mkdir('/team')]);
  await done(store, member, [mkdir('/mine')]);
  const { id } = await store.invite(owner, {
    path: '/team',
    userId: member.userId,
    userName: member.userName,
    role: 'editor',
    message: null,
  });
  await store.accept(member, id);
  const team = newModelFolder('team');
  const roots = [newModelFolder('owner'), newModelFolder('member')] as const;
  for (const root of roots) root.children.set('TEAM', { name: 'team', node: team });
  roots[1].children.set('MINE', { name: 'mine', node: newModelFolder('member') });
  return [
    { who: owner, root: roots[0] },
    { who: member, root: roots[1] },
  ];
}

/** Takes ids and versions over from the port, and looks that modes and times are the same. */
async function learn(store: Metadata, { who, root }: Pair, known: Map<number, ModelNode>): Promise<void> {
  const nodes: [string, ModelNode][] = [['/', root], ...modelNodes(root)];
  const entries = await store.stat(
    who,
    nodes.map(([at]) => at),
  );
  for (const [i, [at, node]] of nodes.entries()) {
    const entry = entries[i];
    assert.ok(entry, `nothing at ${at}`);
    known.set(entry.nodeId, node);
    node.version = entry.version;
    const traits = node.kind === 'file' ? node.traits : `${entry.mtimeUs}`;
    if (node.kind === 'folder') assert.deepEqual([entry.mode, entry.mtimeUs], [node.mode, node.mtimeUs], at);
    else assert.equal(node.kind === 'file' ? `${entry.mtimeUs} ${entry.mode}` : `${entry.mtimeUs}`, traits, at);
  }
}

function beforeOf(model: Model): Before {
  const ids = [...model.known.keys()];
  return {
    versionOf(at) {
      const plain = plainPath(model, at);
      return plain === null ? null : versionAt(model.root, plain);
    },
    anchored(node, names) {
      const id = ids[node % ids.length] as number;
      const known = model.known.get(id);
      // what is shared, and the root, are not to be moved or deleted themselves
      const top = known === model.root || (known?.kind === 'folder' && known === model.root.children.get('TEAM')?.node);
      return writeAnchored(id, ...(top && names.length === 0 ? ['a'] : names));
    },
  };
}

async function sameAsModel(store: Metadata, user: Pair, known: Map<number, ModelNode>, drafts: readonly Draft[]): Promise<void> {
  await learn(store, user, known);
  const model: Model = { root: user.root, known };
  // Versions within a batch are not known beforehand, so each draft is based on what stands before the batch.
  const operations = drafts.map((make) => make(beforeOf(model)));
  const contents = operations.flatMap((operation) => (operation.kind === 'put' ? [operation] : []));
  const chunks = contents.flatMap((operation) =>
    operation.chunks.map(({ digest, length }) => ({ digest: Buffer.from(digest), location: { pack: 'f'.repeat(32), offset: 1, length } })),
  );
  const results = await store.commit(user.who, { id: Buffer.alloc(16, 1), firstOperation: 0, resumed: false }, chunks, operations);
  const expected = operations.map((operation, i) => {
    const at = plainPath(model, 'path' in operation ? operation.path : operation.to);
    const word = applyToModel(model, operation);
    const result = results[i];
    if (word === 'done' && result?.status === 'done' && at !== null) noteVersion(user.root, at, result.version);
    return word;
  });
  assert.deepEqual(
    words(results),
    expected,
    JSON.stringify(operations.map((operation) => ({ ...operation, digest: undefined, chunks: undefined }))),
  );
}

export function contractByModel(open: OpenPlace): void {
  test('random batches of two users who share a folder do what a plain model does, and the change feed tells it all', async (t) => {
    const store = await (await open(t)).open({ now: () => MODEL_NOW_MS });
    const seed = testSeed('metadata against a map');
    t.diagnostic(`seed ${seed}`);
    let run = 0;
    const property = fc.asyncProperty(batches, async (all) => {
      run += 1;
      const users = await pair(store, run);
      const known = new Map<number, ModelNode>();
      const followers = users.flatMap(({ who }) => ['/', '/team', '/a', '/team/a'].map((root) => openFollower(store, who, root)));
      for (const [second, drafts] of all) {
        await sameAsModel(store, users[second ? 1 : 0], known, drafts);
        for (const follower of followers) await follower.check();
      }
      for (const user of users) await learn(store, user, known);
      for (const { who, root } of users) {
        assert.deepEqual(await listing(store, who), modelListing(root));
        assert.deepEqual(await replayed(store, who), await listed(store, who));
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed });
  });
}
