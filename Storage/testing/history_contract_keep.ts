import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HistoryPlace, OpenHistory } from './history_fixture.ts';
import { alice, allChanges, bob, contentOf, done, move, put, remove } from './metadata_fixture.ts';

const DAY = 86_400_000;
const POLICY = { allMs: 30 * DAY, dailyMs: 90 * DAY };
const HOURS = [0, 1, 30, 31, 200];

/** A file written at these hours of a week that begins now, each time something else. @returns versions */
async function writes({ metadata, clock }: HistoryPlace, path: string): Promise<number[]> {
  const start = Math.ceil(clock.ms / (7 * DAY)) * 7 * DAY;
  const made: number[] = [];
  for (const hour of HOURS) {
    clock.ms = start + hour * 3_600_000;
    const content = contentOf(`${path} ${hour}`);
    const [result] = await done(metadata, alice, [put(path, content)], [content]);
    made.push(result?.version ?? 0);
  }
  return made;
}

/** Time goes by, and something is done at its end. */
async function pass({ metadata, clock }: HistoryPlace, days: number): Promise<void> {
  clock.ms += days * DAY;
  await done(metadata, bob, [put(`/at ${clock.ms}`, contentOf('tick'))], [contentOf('tick')]);
}

async function kept({ history }: HistoryPlace, path: string): Promise<number[]> {
  const { rows } = await history.versions(alice, { path, after: null, limit: 100 });
  return rows.map(({ version }) => version).reverse();
}

/** What the policy keeps, and what else. */
export function contractOfKeeping(open: OpenHistory): void {
  test('all versions are kept for a while, then one a day, then one a week, and the newest for ever', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    const made = await writes(place, '/f');
    const [first, second, third, fourth, fifth] = made as [number, number, number, number, number];
    const { cursor, changes } = await allChanges(metadata, alice);
    assert.equal(await history.thin(POLICY), 0);
    assert.deepEqual(await kept(place, '/f'), made);
    await pass(place, 31);
    assert.equal(await history.thin(POLICY), 2);
    assert.deepEqual(await kept(place, '/f'), [second, fourth, fifth]);
    assert.equal(await history.thin(POLICY), 0);
    await pass(place, 60);
    assert.equal(await history.thin(POLICY), 1);
    assert.deepEqual(await kept(place, '/f'), [fourth, fifth]);
    await pass(place, 10_000);
    assert.equal(await history.thin(POLICY), 0);
    for (const gone of [first, second, third]) {
      await assert.rejects(history.version(alice, '/f', gone), { code: 'not_found' });
      assert.deepEqual(await metadata.olderChunks(alice, '/f', gone), []);
    }
    const after = await allChanges(metadata, alice);
    assert.deepEqual(after.changes, changes); // the journal is what it was, and so are its cursors
    assert.deepEqual((await metadata.changes(alice, { after: cursor, limit: 9 })).changes, []);
    const back = await history.preview(alice, { kind: 'rewind', path: '/', to: { cursor: changes[0]?.cursor ?? '' } });
    assert.deepEqual(
      back.conflicts.map(({ path, reason }) => `${path} ${reason}`),
      ['/f thinned'],
    );
  });

  test('a clock that is far ahead of all that was done makes nothing old', async (t) => {
    const place = await open(t);
    const made = await writes(place, '/f');
    place.clock.ms += 10_000 * DAY;
    assert.equal(await place.history.thin(POLICY), 0);
    assert.deepEqual(await kept(place, '/f'), made);
    await pass(place, 0);
    assert.equal(await place.history.thin(POLICY), 3);
    assert.deepEqual(await kept(place, '/f'), made.slice(3));
  });

  test('a pinned version is kept whatever its age, until it is not pinned any more', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    const made = await writes(place, '/f');
    const other = contentOf('other');
    const [stranger] = await done(metadata, alice, [put('/g', other)], [other]);
    await history.pin(alice, '/f', made[0] ?? 0);
    await history.pin(alice, '/f', made[0] ?? 0);
    await history.pin(alice, '/f', made[2] ?? 0);
    await history.unpin(alice, '/f', made[2] ?? 0);
    await pass(place, 100);
    await history.thin(POLICY);
    assert.deepEqual(await kept(place, '/f'), [made[0], made[3], made[4]]);
    const { rows } = await history.versions(alice, { path: '/f', after: null, limit: 9 });
    assert.deepEqual(
      rows.map(({ pinned }) => pinned),
      [false, false, true],
    );
    for (const version of [made[1] ?? 0, stranger?.version ?? 0, 999]) {
      await assert.rejects(history.pin(alice, '/f', version), { code: 'not_found' }, String(version));
    }
    await assert.rejects(history.pin(bob, '/f', made[0] ?? 0), { code: 'not_found' });
  });

  test('what was moved and what was deleted keeps its last content', async (t) => {
    const place = await open(t);
    const { metadata, history } = place;
    await writes(place, '/f');
    await done(metadata, alice, [move('/f', '/g'), remove('/g')]);
    await pass(place, 200);
    await history.thin(POLICY);
    await history.undelete(alice, '/g', null);
    const [row] = (await history.versions(alice, { path: '/g', after: null, limit: 1 })).rows;
    assert.deepEqual(row?.digest, contentOf(`/f ${HOURS.at(-1)}`).digest);
    assert.deepEqual((await history.version(alice, '/g', row?.version ?? 0)).digest, row?.digest);
  });
}
