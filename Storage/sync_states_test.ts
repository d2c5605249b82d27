import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { type DatabaseAddress, openDatabase } from './database.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS } from './sql_metadata.ts';
import { type SyncStates, sqlSyncStates } from './sync_states.ts';
import { newDatabases } from './testing/databases.ts';

const stateOf = (n: number): string => n.toString(16).padStart(32, '0');
const [one, two] = [stateOf(1), stateOf(2)];

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext, address: DatabaseAddress, now?: () => number): Promise<SyncStates> => {
    const database = await openDatabase<MetadataSchema>(address, MIGRATIONS);
    t.after(() => database.close());
    return sqlSyncStates(database, now);
  };

  test(`a counter is taken only when it is higher than any before, each state and user for itself, on ${name}`, async (t) => {
    const address = await addressFor(t);
    const states = await open(t, address);
    const shown: [string, string, number, boolean][] = [
      ['alice', one, 5, true],
      ['alice', one, 5, false],
      ['alice', one, 4, false],
      ['alice', two, 0, true],
      ['bob', one, 1, true],
      ['alice', one, 6, true],
      ['alice', one, Number.MAX_SAFE_INTEGER, true],
      ['alice', one, Number.MAX_SAFE_INTEGER, false],
    ];
    for (const [user, state, counter, accepted] of shown) {
      assert.equal(await states.advance(user, { state, counter }), accepted, `${user} ${state} ${counter}`);
    }
    const another = await open(t, address); // as after a restart
    assert.equal(await another.advance('bob', { state: one, counter: 1 }), false);
  });

  test(`of copies that show one number at the same time one is taken, on ${name}`, async (t) => {
    const address = await addressFor(t);
    const here = await open(t, address);
    const states = [here, address.kind === 'sqlite' ? here : await open(t, address)]; // on SQLite there is one server
    for (let counter = 1; counter <= 20; counter += 1) {
      const answers = await Promise.all(states.map((each) => each.advance('alice', { state: one, counter })));
      assert.deepEqual(answers.toSorted(), [false, true], `counter ${counter}`);
    }
  });

  test(`of more states than a user may have the one not shown for longest is forgotten, on ${name}`, async (t) => {
    let nowMs = 1000;
    const states = await open(t, await addressFor(t), () => nowMs++);
    assert.ok(await states.advance('bob', { state: stateOf(1), counter: 9 }));
    for (let n = 0; n < LIMITS.syncStatesPerUserMax; n += 1) assert.ok(await states.advance('alice', { state: stateOf(n), counter: 7 }));
    assert.ok(await states.advance('alice', { state: stateOf(0), counter: 8 }));
    assert.ok(await states.advance('alice', { state: 'f'.repeat(32), counter: 1 }));
    assert.ok(await states.advance('alice', { state: stateOf(1), counter: 7 }), 'forgotten, so new');
    assert.equal(await states.advance('bob', { state: stateOf(1), counter: 9 }), false, 'of another user');
    for (const n of [0, 3, 4]) assert.equal(await states.advance('alice', { state: stateOf(n), counter: 7 }), false, `state ${n}`);
    assert.ok(await states.advance('alice', { state: stateOf(2), counter: 1 }), 'forgotten for the one before');
  });
}
