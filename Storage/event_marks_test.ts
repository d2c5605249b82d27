import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from './metadata.ts';
import { openServerStore } from './server_store.ts';
import { newDatabases } from './testing/databases.ts';
import { alice, allChanges, bob, done, mkdir, share } from './testing/metadata_fixture.ts';

const phone: Principal = { ...alice, deviceId: '7'.repeat(32) };

for (const [name, addressFor] of newDatabases()) {
  test(`a device's mark is kept, moves forward only, in each space for itself, and is no other device's, on ${name}`, async (t) => {
    const address = await addressFor(t);
    const first = await openServerStore(address);
    const { metadata, eventMarks } = first;
    await done(metadata, bob, [mkdir('/own')]);
    await done(metadata, alice, [mkdir('/team')]);
    await share(metadata, '/team', bob);
    const start = await allChanges(metadata, bob);
    await done(metadata, bob, [mkdir('/x')]);
    const home = await allChanges(metadata, bob);
    await done(metadata, alice, [mkdir('/team/y')]);
    assert.equal(await eventMarks.marked(bob), null);
    for (const cursor of [home.cursor, start.cursor, home.cursor]) assert.equal(await eventMarks.mark(bob, cursor), home.cursor);
    assert.equal(await eventMarks.marked({ ...bob, deviceId: phone.deviceId }), null);
    await assert.rejects(eventMarks.mark(bob, 'nonsense'), { code: 'cursor_invalid' });
    await assert.rejects(eventMarks.mark(alice, home.cursor), { code: 'cursor_invalid' }, 'of another user');
    await first.close();

    const second = await openServerStore(address);
    t.after(() => second.close());
    const mark = await second.eventMarks.marked(bob);
    assert.deepEqual(
      (await allChanges(second.metadata, bob, mark)).changes.map(({ path }) => path),
      ['/team/y'],
    );
    const end = await allChanges(second.metadata, bob, mark);
    assert.equal(await second.eventMarks.mark(bob, end.cursor), end.cursor);
    assert.equal(await second.eventMarks.mark(bob, home.cursor), end.cursor);
  });
}
