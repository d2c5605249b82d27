import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../../Models/operations.ts';
import type { Metadata } from '../metadata.ts';
import {
  alice,
  allChanges,
  bob,
  chunkOf,
  contentOf,
  copy,
  done,
  listing,
  mkdir,
  move,
  newStream,
  type OpenPlace,
  put,
  remove,
  share,
  words,
} from './metadata_fixture.ts';

const one = contentOf('one');
const two = contentOf('two');
const short = one.digest.toString('hex').slice(0, 8);

/** A mkdir that breaks whoever looks at its path once more than so often: a fault in the middle of a commit. */
function breaking(looks: number): Operation & { broke: boolean } {
  let left = looks;
  const operation = { kind: 'mkdir' as const, existingOk: true, mode: null, mtimeUs: null, broke: false };
  return Object.defineProperty(operation as typeof operation & { path: string }, 'path', {
    get(): string {
      left -= 1;
      operation.broke = left < 0;
      if (left < 0) throw new Error('fault');
      return '/late';
    },
  });
}

export function contractOfSafety(open: OpenPlace): void {
  test('a stream that is resumed does each operation once and gets the results of the first time', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), put('/a', one), put('/b', one)], [one, two]);
    await share(store, '/team', bob);
    const stream = newStream();
    const operations = [
      move('/a', '/c'),
      put('/a', two),
      remove('/b'),
      move('/c', '/b'),
      copy('/b', '/team/copy'),
      move('/b', '/team/b'),
      put('/n/e/w', one),
      mkdir('/x'),
      remove('/nothing'),
    ];
    const first = await store.commit(alice, stream, [], operations.slice(0, 4));
    const rest = await store.commit(alice, { ...stream, firstOperation: 4 }, [], operations.slice(4));
    assert.deepEqual(words([...first, ...rest]), [...Array.from({ length: 8 }, () => 'done'), 'not_found']);
    const before = await listing(store, alice);
    const { cursor } = await allChanges(store, alice);
    const again = await store.commit(alice, { ...stream, resumed: true }, [], operations);
    assert.deepEqual(again, [...first, ...rest]);
    assert.deepEqual(await listing(store, alice), before);
    assert.deepEqual((await allChanges(store, alice, cursor)).changes, []);
    const partly = await store.commit(alice, { ...stream, firstOperation: 7, resumed: true }, [], [mkdir('/x'), mkdir('/y'), mkdir('/z')]);
    assert.deepEqual(words(partly), ['done', 'done', 'done']);
    assert.deepEqual(
      (await allChanges(store, alice, cursor)).changes.map((change) => change.path),
      ['/y', '/z'],
    );
  });

  test('a stream is one user\u2019s own', async (t) => {
    const store = await (await open(t)).open();
    const stream = newStream();
    await store.commit(alice, stream, [], [mkdir('/x')]);
    assert.deepEqual(words(await store.commit(bob, { ...stream, resumed: true }, [], [mkdir('/x')])), ['done']);
    assert.deepEqual(await listing(store, bob), ['/x folder']);
  });

  test('a commit that fails in the middle leaves nothing', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [put('/a', one), mkdir('/d')], [one]);
    const before = await listing(store, alice);
    const { cursor } = await allChanges(store, alice);
    const chunk = chunkOf('sent with the failing batch');
    const operations = [put('/b', one), move('/a', '/d/a'), copy('/d', '/e'), remove('/b'), mkdir('/f')];
    for (let looks = 0, broke = true; broke; looks += 1) {
      const fault = breaking(looks);
      const attempt = store.commit(alice, newStream(), [chunk], [...operations, fault]);
      const failed = await attempt.then(
        () => false,
        (error: unknown) => /fault/.test(String(error)),
      );
      broke = fault.broke;
      assert.equal(failed, broke);
      if (!broke) break;
      assert.deepEqual(await listing(store, alice), before);
      assert.deepEqual((await allChanges(store, alice, cursor)).changes, []);
      assert.deepEqual(await store.have(alice, [chunk.digest]), [false]);
    }
    assert.deepEqual(await listing(store, alice), [
      '/d folder',
      `/d/a file ${short}`,
      '/e folder',
      `/e/a file ${short}`,
      '/f folder',
      '/late folder',
    ]);
  });

  test('everything is there when the store is opened again, under the same epoch', async (t) => {
    const place = await open(t);
    const first = await place.open();
    await done(first, alice, [put('/a/b', one), mkdir('/team')], [one]);
    await share(first, '/team', bob);
    const { cursor } = await allChanges(first, alice);
    const before = await listing(first, alice);
    await first.close();
    const second = await place.open();
    assert.equal(second.epoch, first.epoch);
    assert.match(second.epoch, /^[0-9a-f]{32}$/);
    assert.deepEqual(await listing(second, alice), before);
    await second.ping();
    const [made] = await done(second, alice, [mkdir('/new')]);
    assert.deepEqual(
      (await allChanges(second, alice, cursor)).changes.map((change) => change.nodeId),
      [made?.nodeId],
    );
  });

  test('commits that run at the same time are all kept, and the journal has no gaps', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team')]);
    await share(store, '/team', bob);
    await hammer([store, store]);
  });
}

/** Alice and bob write into one shared folder through these instances at once; then everything must be there, once. */
export async function hammer(stores: readonly Metadata[]): Promise<void> {
  const rounds = 12;
  const perBatch = 20;
  const writers = stores.flatMap((store, s) => [alice, bob].map((who) => ({ store, who, name: `${who.userName}-${s}` })));
  const results = await Promise.all(
    writers.map(async ({ store, who, name }) => {
      let last = 0;
      for (let round = 0; round < rounds; round += 1) {
        const contents = Array.from({ length: perBatch }, (_, i) => contentOf(`${name} ${round} ${i}`));
        const puts = contents.map((content, i) => put(`/team/${name}/${round}-${i}`, content));
        const both = put('/team/both', contentOf(`${name} ${round}`));
        const all = [...puts, both, mkdir(`/${name}-${round}`)];
        const answers = await done(store, who, all, [...contents, contentOf(`${name} ${round}`)]);
        assert.ok((answers[0]?.version ?? 0) > last);
        last = answers.at(-2)?.version ?? 0;
      }
    }),
  );
  assert.equal(results.length, writers.length);
  const [store] = stores as [Metadata];
  for (const { name } of writers) {
    const lines = await listing(store, alice, `/team/${name}`);
    assert.equal(lines.length, rounds * perBatch, name);
  }
  const { changes } = await allChanges(store, bob);
  const shared = changes.filter((change) => change.path.startsWith('/team/')).map((change) => change.sequence);
  assert.equal(shared.length, writers.length * (rounds * (perBatch + 1) + 1));
  assert.deepEqual(
    shared,
    shared.map((_, i) => (shared[0] as number) + i),
  );
}
