import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { openServerStore, type ServerStore } from './server_store.ts';
import { newDatabases } from './testing/databases.ts';
import { alice, allChanges, bob, done, mkdir } from './testing/metadata_fixture.ts';

const URL_TEXT = 'https://hooks.example.org:8443/in?key=1';
const wanted = { url: URL_TEXT, kinds: null, secret: 'a secret' };

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext, now: () => number = Date.now): Promise<ServerStore> => {
    const store = await openServerStore(await addressFor(t), { now });
    t.after(() => store.close());
    return store;
  };

  test(`a webhook begins with what happens after it was added, also for a user who has nothing yet, on ${name}`, async (t) => {
    const { webhooks, metadata } = await open(t, () => 1234);
    await done(metadata, alice, [mkdir('/before')]);
    const own = await webhooks.add(alice, { ...wanted, kinds: ['changed', 'invited'] });
    const theirs = await webhooks.add(bob, wanted);
    await done(metadata, alice, [mkdir('/behind')]);
    await done(metadata, bob, [mkdir('/first')]);
    const paths = async (who: typeof alice, cursor: string) => (await allChanges(metadata, who, cursor)).changes.map(({ path }) => path);
    assert.deepEqual(await paths(alice, own.cursor), ['/behind']);
    assert.deepEqual(await paths(bob, theirs.cursor), ['/first']);
    const { id, cursor } = own;
    assert.deepEqual(await webhooks.list(alice), [
      {
        id,
        userId: alice.userId,
        userName: 'alice',
        url: URL_TEXT,
        kinds: ['changed', 'invited'],
        secret: 'a secret',
        state: 'active',
        cursor,
        createdAtMs: 1234,
        dueAtMs: 0,
        failures: 0,
        failingSinceMs: null,
        reason: null,
      },
    ]);
    assert.deepEqual((await webhooks.active()).map((each) => each.id).sort(), [id, theirs.id].sort());
  });

  test(`one of two claims is taken, what comes of it is kept over a restart, and a lost claim settles nothing, on ${name}`, async (t) => {
    let nowMs = 1000;
    const address = await addressFor(t);
    const first = await openServerStore(address, { now: () => nowMs });
    const begun = await first.webhooks.add(alice, wanted);
    const { id } = begun;
    const claims = await Promise.all([first.webhooks.claim(begun, 2000), first.webhooks.claim(begun, 2001)]);
    assert.deepEqual(claims.sort(), [false, true]);
    const untilMs = (await first.webhooks.find(id))?.dueAtMs ?? 0;
    await first.webhooks.settle({ id, untilMs: untilMs + 1 }, { kind: 'taken', cursor: 'of another' });
    assert.equal((await first.webhooks.find(id))?.cursor, begun.cursor);
    await first.webhooks.settle({ id, untilMs }, { kind: 'failed', dueAtMs: 3000, reason: 'answered 500' });
    await first.close();

    const second = await openServerStore(address, { now: () => nowMs });
    t.after(() => second.close());
    const { webhooks, metadata } = second;
    const failing = { ...begun, failures: 1, failingSinceMs: 1000, dueAtMs: 3000, reason: 'answered 500' };
    assert.deepEqual(await webhooks.find(id), failing);
    nowMs = 3000;
    assert.ok(await webhooks.claim(failing, 4000));
    await webhooks.settle({ id, untilMs: 4000 }, { kind: 'failed', dueAtMs: 5000, reason: 'no answer in time' });
    const again = { ...failing, failures: 2, dueAtMs: 5000, reason: 'no answer in time' };
    assert.deepEqual(await webhooks.find(id), again, 'it fails since the first time');
    assert.ok(await webhooks.claim(again, 6000));
    await done(metadata, alice, [mkdir('/a')]);
    const { cursor } = await allChanges(metadata, alice);
    await webhooks.settle({ id, untilMs: 6000 }, { kind: 'taken', cursor });
    assert.deepEqual(await webhooks.find(id), { ...begun, cursor });
    assert.equal(await webhooks.claim(begun, 7000), false, 'it has moved on');
  });

  test(`one that was added, ended or removed is told to its user alone, once, without its address, and is no more active, on ${name}`, async (t) => {
    const { webhooks, metadata } = await open(t);
    const begun = await webhooks.add(alice, wanted);
    await webhooks.add(bob, wanted);
    assert.ok(await webhooks.claim(begun, 5));
    for (let n = 0; n < 2; n += 1) await webhooks.settle({ id: begun.id, untilMs: 5 }, { kind: 'ended', reason: 'answered 410: gone' });
    const notice = (details: object) => ({
      kind: 'webhook',
      path: '/',
      details: { webhook: begun.id, host: 'hooks.example.org:8443', ...details },
    });
    const told = async (): Promise<unknown[]> =>
      (await allChanges(metadata, alice)).changes.map(({ kind, path, details }) => ({ kind, path, details }));
    const ended = [notice({ state: 'active' }), notice({ state: 'failed', reason: 'answered 410: gone' })];
    assert.deepEqual(await told(), ended);
    assert.deepEqual((await allChanges(metadata, bob)).changes.length, 1);
    assert.equal((await webhooks.find(begun.id))?.state, 'failed');
    assert.deepEqual(
      (await webhooks.active()).map(({ userId }) => userId),
      [bob.userId],
    );
    assert.equal(await webhooks.claim({ ...begun, dueAtMs: 0 }, 9), false);
    await webhooks.remove(alice, begun.id);
    assert.deepEqual(await told(), [...ended, notice({ state: 'removed' })]);
  });

  test(`nobody removes somebody else's, and a user has at most ${LIMITS.webhooksPerUserMax}, also if added at once, on ${name}`, async (t) => {
    const { webhooks } = await open(t);
    const adding = Array.from({ length: LIMITS.webhooksPerUserMax + 2 }, () => webhooks.add(alice, wanted));
    const failed = (await Promise.allSettled(adding)).flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    assert.deepEqual(failed, ['too_large', 'too_large']);
    const [first] = await webhooks.list(alice);
    assert.ok(first !== undefined);
    await assert.rejects(webhooks.remove(bob, first.id), { code: 'not_found' });
    await webhooks.remove(alice, first.id);
    await assert.rejects(webhooks.remove(alice, first.id), { code: 'not_found' });
    assert.equal(await webhooks.find(first.id), null);
    await webhooks.add(alice, wanted);
    await webhooks.add(bob, wanted);
  });
}
