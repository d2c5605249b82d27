import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Base, Operation } from '../../Models/operations.ts';
import type { Metadata, Principal } from '../metadata.ts';
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
  remove,
  symlink,
  words,
} from './metadata_fixture.ts';
import { applyToModel, type ModelFolder, modelListing, newModelFolder, noteVersion, versionAt } from './metadata_model.ts';

const RUNS = 30;

/** Few names, so that they meet: two that fold to one in ASCII, two beyond it. */
const name = fc.constantFrom('a', 'A', 'b', 'é', 'e\u0301', 'ß', 'SS');
const path = fc
  .tuple(fc.boolean(), fc.array(name, { minLength: 1, maxLength: 3 }))
  .map(([shared, names]) => `${shared ? '/team' : ''}/${names.join('/')}`);
const content = fc.constantFrom(contentOf(), contentOf('one'), contentOf('two'), contentOf('two', 'parts'));
type Draft = (versionOf: (path: string) => number | null) => Operation;

const base = fc.constantFrom<'any' | 'absent' | 'current' | 'stale'>('any', 'any', 'absent', 'current', 'current', 'stale');
const resolved = (wanted: 'any' | 'absent' | 'current' | 'stale', version: number | null): Base =>
  wanted === 'any' || wanted === 'absent' ? wanted : wanted === 'current' ? (version ?? 'absent') : 987_654;

const draft: fc.Arbitrary<Draft> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(path, content, base, fc.constantFrom(1, 2), fc.constantFrom(0o600, 0o755)).map(
      ([at, what, on, mtimeUs, mode]): Draft =>
        (versionOf) =>
          put(at, what, { base: resolved(on, versionOf(at)), mtimeUs, mode }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(path, base).map(
      ([at, on]): Draft =>
        (versionOf) =>
          symlink(at, 'target', resolved(on, versionOf(at))),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(path, fc.boolean()).map(
      ([at, ok]): Draft =>
        () =>
          mkdir(at, ok),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(path, path).map(
      ([from, to]): Draft =>
        () =>
          move(from, to),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(path, path).map(
      ([from, to]): Draft =>
        () =>
          copy(from, to),
    ),
  },
  {
    weight: 2,
    arbitrary: path.map(
      (at): Draft =>
        () =>
          remove(at),
    ),
  },
);
const batches = fc.array(fc.tuple(fc.boolean(), fc.array(draft, { minLength: 1, maxLength: 8 })), { minLength: 1, maxLength: 12 });

/** The tree as one gets it by following the change feed from its beginning: path and content id of everything. */
async function replayed(store: Metadata, who: Principal): Promise<string[]> {
  const tree = new Map<string, string>();
  const below = (top: string): string[] => [...tree.keys()].filter((known) => known === top || known.startsWith(`${top}/`));
  const { changes } = await allChanges(store, who, null, 7);
  for (const { kind, path: at, fromPath, digest } of changes) {
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

async function sameAsModel(store: Metadata, { who, root }: Pair, drafts: readonly Draft[]): Promise<void> {
  // Versions within a batch are not known beforehand, so each draft is based on what stands before the batch.
  const operations = drafts.map((make) => make((at) => versionAt(root, at)));
  const contents = operations.flatMap((operation) => (operation.kind === 'put' ? [operation] : []));
  const chunks = contents.flatMap((operation) =>
    operation.chunks.map(({ digest, length }) => ({ digest: Buffer.from(digest), location: { pack: 'f'.repeat(32), offset: 1, length } })),
  );
  const results = await store.commit(who, { id: Buffer.alloc(16, 1), firstOperation: 0, resumed: false }, chunks, operations);
  const expected = operations.map((operation, i) => {
    const word = applyToModel(root, operation);
    const result = results[i];
    if (word === 'done' && result?.status === 'done' && 'path' in operation) noteVersion(root, operation.path, result.version);
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
    const store = await (await open(t)).open();
    const seed = Date.now() % 2 ** 31;
    t.diagnostic(`seed ${seed}`);
    let run = 0;
    const property = fc.asyncProperty(batches, async (all) => {
      run += 1;
      const users = await pair(store, run);
      for (const [second, drafts] of all) await sameAsModel(store, users[second ? 1 : 0], drafts);
      for (const { who, root } of users) {
        assert.deepEqual(await listing(store, who), modelListing(root));
        assert.deepEqual(await replayed(store, who), await listed(store, who));
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed });
  });
}
