import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DatabaseAddress, openDatabase } from '../database.ts';
import { openServerStore } from '../server_store.ts';
import { MIGRATIONS } from '../sql_metadata.ts';
import { newDatabases } from '../testing/databases.ts';
import { openFollower } from '../testing/feed_follower.ts';
import { alice, allChanges, bob, contentOf, done, listing, mkdir, move, nodeAt, put, remove, share } from '../testing/metadata_fixture.ts';
import type { MetadataSchema } from './sql_metadata_schema.ts';

const one = contentOf('one');
const many = contentOf('part 1', 'part 2');
const contents = [one, many];
const hex = (content: typeof one): string => content.digest.toString('hex').slice(0, 8);

/** As a rewind of an earlier version did it: what was moved last goes into a folder that has become another space, and its row of the journal says so. */
async function goBackInto(address: DatabaseAddress, folder: number, wasMoved: ReadonlyMap<number, string>): Promise<void> {
  const { write, close } = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  await write(async (trx) => {
    const going: number[] = [];
    for (const [id, name] of wasMoved) {
      const [node] = await trx
        .updateTable('nodes')
        .set({ parent: folder, name, key: name })
        .where('id', '=', id)
        .returning(['space', 'version'])
        .execute();
      const row = trx.updateTable('journal').set({ parent: folder, path: `/w/team/${name}` });
      const [written] = await row
        .where('space', '=', node?.space ?? 0)
        .where('seq', '=', node?.version ?? 0)
        .returning('commit_id')
        .execute();
      going.push(written?.commit_id ?? 0);
    }
    await trx.updateTable('commits').set({ reason: 'rewind' }).where('id', 'in', going).execute();
    await trx.deleteFrom('settings').where('name', '=', 'strays').execute();
  });
  await close();
}

for (const [name, addressFor] of newDatabases()) {
  test(`what an earlier version left in a folder of another space is in the root of its own after a start, on ${name}`, async (t) => {
    const address = await addressFor(t);
    const then = await openServerStore(address);
    const before = [put('/w/team/kept', one), put('/w/team/gone/f', one), put('/w/team/late', one), put('/w/x', many), put('/w/y', one)];
    await done(then.metadata, alice, [...before, mkdir('/w/d'), put('/w/d/f', one), put('/x', one)], contents);
    await done(then.metadata, alice, [remove('/w/team/gone')]);
    await share(then.metadata, '/w/team', bob);
    assert.deepEqual(await then.takeStraysHome(), []); // what was deleted there before is none
    await done(then.metadata, alice, [move('/w/x', '/w/x2'), move('/w/y', '/w/y2'), move('/w/d', '/w/d2')]);
    const team = await nodeAt(then.metadata, bob, '/team');
    const ids = await Promise.all(['/w/x2', '/w/y2', '/w/d2'].map((path) => nodeAt(then.metadata, alice, path)));
    await then.close();
    const [x, y, d] = ids as [number, number, number];
    await goBackInto(address, team, new Map([[x, 'x'], [y, 'late2'], [d, 'd']])); // biome-ignore format: one to a line tells no more

    const now = await openServerStore(address);
    t.after(() => now.close());
    const { metadata } = now;
    const kept = [`/team/kept file ${hex(one)}`, `/team/late file ${hex(one)}`, '/team folder'].sort();
    assert.equal((await listing(metadata, bob)).length, kept.length + 3); // what bob was never meant to see
    const follower = openFollower(metadata, alice, '/');
    await follower.pull();
    const { cursor } = await allChanges(metadata, alice);

    const moved = await now.takeStraysHome();
    assert.deepEqual(
      moved,
      ids.sort((a, b) => a - b).map((nodeId) => ({ nodeId, ownerId: alice.userId, ownerName: 'alice' })),
    );
    assert.deepEqual(await listing(metadata, bob), kept);
    const home = [`/d/f file ${hex(one)}`, '/d folder', `/late2 file ${hex(one)}`, `/x (2) file ${hex(many)}`, `/x file ${hex(one)}`];
    const shared = kept.map((line) => `/w${line}`);
    assert.deepEqual(await listing(metadata, alice), [...home, ...shared, '/w folder'].sort());
    await follower.check();
    const { changes } = await allChanges(metadata, alice, cursor);
    const told = changes.map(({ kind, fromPath, path }) => `${kind} ${fromPath} ${path}`);
    assert.deepEqual(told.sort(), ['move /w/team/d /d', 'move /w/team/late2 /late2', 'move /w/team/x /x (2)']);
    const [manifest] = await metadata.manifests(alice, ['/x (2)']);
    assert.equal(manifest?.chunks.length, 2);
    assert.deepEqual(await now.takeStraysHome(), []);
  });
}
