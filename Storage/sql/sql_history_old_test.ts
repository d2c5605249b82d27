import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { type DatabaseAddress, openDatabase } from '../database.ts';
import type { BackPlan, BackRequest } from '../history.ts';
import type { Principal } from '../metadata.ts';
import { openServerStore } from '../server_store.ts';
import { MIGRATIONS } from '../sql_metadata.ts';
import { newDatabases } from '../testing/databases.ts';
import { alice, allChanges, contentOf, done, listing, mkdir, move, put } from '../testing/metadata_fixture.ts';
import { JOURNAL_KINDS, type MetadataSchema } from './sql_metadata_schema.ts';

const [one, two] = [contentOf('one'), contentOf('two')];
const laptop: Principal = { ...alice, deviceId: 'laptop' };
const phone: Principal = { ...alice, deviceId: 'phone' };

/** As migration 0005 leaves a database from before it: a row does not say where its node was if that was moved later. */
async function forgetFolders(address: DatabaseAddress): Promise<void> {
  const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
  await database.write((trx) =>
    sql`UPDATE journal SET parent = NULL WHERE EXISTS (SELECT 1 FROM journal m WHERE m.node = journal.node AND m.space = journal.space
      AND m.kind = ${JOURNAL_KINDS.indexOf('move')} AND m.seq > journal.seq)`.execute(trx),
  );
  await database.close();
}

const told = ({ steps, conflicts }: BackPlan): string[] => [
  ...steps.map(({ kind, path }) => `${kind} ${path}`),
  ...conflicts.map(({ path, reason }) => `${path} ${reason}`),
];

for (const [name, addressFor] of newDatabases()) {
  test(`what an old row of the journal does not say is reported and not guessed, on ${name}`, async (t) => {
    const address = await addressFor(t);
    const clock = { ms: 1_700_000_000_000 };
    const open = () => openServerStore(address, { now: () => clock.ms });
    const then = await open();
    await done(then.metadata, phone, [put('/w/a/f', one), put('/w/b/g', one), put('/w/h', one), put('/m', one), mkdir('/x')], [one]);
    const { cursor } = await allChanges(then.metadata, alice);
    const sinceMs = clock.ms;
    clock.ms += 1000;
    const moves = [move('/w/a', '/x/a'), move('/w/b', '/w/c'), move('/m', '/x/m')];
    await done(then.metadata, laptop, [...moves, put('/x/a/f', two), put('/w/c/g', two), put('/w/h', two)], [two]);
    await done(then.metadata, phone, [mkdir('/n'), move('/x/m', '/n/m')]); // not where it was
    await then.close();
    await forgetFolders(address);
    const { metadata, history, close } = await open();
    t.after(close);
    const listed = await listing(metadata, alice);
    const rewind: BackRequest = { kind: 'rewind', path: '/w', to: { cursor } };
    const plan = await history.preview(alice, rewind);
    const unknown = ['/n/m unknown', '/w/c unknown', '/w/c/g unknown', '/x/a unknown', '/x/a/f unknown'];
    assert.deepEqual(told(plan).sort(), [...unknown, 'content /w/h'].sort());
    const undo: BackRequest = { kind: 'undo', user: 'alice', device: 'laptop', sinceMs };
    assert.deepEqual(
      told(await history.preview(alice, undo)).sort(),
      ['/n/m changed_since', '/w/c unknown', '/x/a unknown', 'content /w/c/g', 'content /w/h', 'content /x/a/f'].sort(),
    );
    await history.goBack(alice, rewind, plan.digest);
    const changed = (await listing(metadata, alice)).filter((line) => !listed.includes(line));
    assert.deepEqual(changed, [`/w/h file ${one.digest.toString('hex').slice(0, 8)}`]);
  });
}
