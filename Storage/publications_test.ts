import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { openDatabase } from './database.ts';
import type { Principal } from './metadata.ts';
import type { Audience, Publications, PublishedQuery } from './publications.ts';
import { openServerStore } from './server_store.ts';
import { sqlFetches } from './sql/sql_fetches.ts';
import type { MetadataSchema } from './sql/sql_metadata_schema.ts';
import { MIGRATIONS } from './sql_metadata.ts';
import { newDatabases } from './testing/databases.ts';
import { alice, bob, carol, done, mkdir } from './testing/metadata_fixture.ts';

const digest = (n: number): Buffer => Buffer.alloc(32, n);
const file = (path: string, n = 1) => ({ path, size: n, digest: digest(n) });
const ALL: PublishedQuery = { id: null, user: null, name: null, own: false, after: null, limit: 100 };
const users = (...named: readonly Principal[]): Audience => ({
  kind: 'users',
  users: named.map(({ userId, userName }) => ({ id: userId, name: userName })),
});

async function seen(publications: Publications, who: Principal, query: Partial<PublishedQuery> = {}): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = null; ; ) {
    const page = await publications.list(who, { ...ALL, after, ...query });
    found.push(...page.files.map(({ publication, path }) => `${publication.userName}/${publication.name}/${path}`));
    after = page.next;
    if (after === null) return found;
  }
}

for (const [name, addressFor] of newDatabases()) {
  const open = async (t: TestContext, now?: () => number) => {
    const store = await openServerStore(await addressFor(t), now === undefined ? {} : { now });
    t.after(() => store.close());
    return store;
  };

  test(`files are for the owner, and for those the publication is for now, on ${name}`, async (t) => {
    const { publications } = await open(t);
    const { id } = await publications.open(alice, { name: 'set', audience: users() });
    await publications.announce(alice, id, { files: [file('a/b'), file('c')], gone: [] });
    const path = { id, path: 'c' };
    const check = async (audience: Audience, expected: readonly Principal[]): Promise<void> => {
      assert.equal((await publications.open(alice, { name: 'set', audience })).id, id);
      const told = await publications.toldOf(id);
      for (const who of [alice, bob, carol]) {
        const may = expected.includes(who);
        assert.deepEqual(await seen(publications, who), may ? ['alice/set/a/b', 'alice/set/c'] : []);
        assert.equal((await publications.find(who, path)) !== null, may);
        assert.equal(told?.readers === 'everyone' || told?.readers.includes(who.userId), may);
      }
    };
    await check(users(), [alice]);
    await check(users(bob, bob), [alice, bob]);
    await check({ kind: 'everyone' }, [alice, bob, carol]);
    await check(users(carol), [alice, carol]);
  });

  test(`of a shared folder the members may, while they and the owner are, on ${name}`, async (t) => {
    const { metadata, publications } = await open(t);
    await done(metadata, alice, [mkdir('/team'), mkdir('/own')]);
    const { id: invitation } = await metadata.invite(alice, {
      path: '/team',
      userId: bob.userId,
      userName: bob.userName,
      role: 'viewer',
      message: null,
    });
    const { path } = await metadata.accept(bob, invitation);
    for (const at of ['/own', '/nowhere', '/']) {
      await assert.rejects(publications.open(bob, { name: 'x', audience: { kind: 'space', path: at } }), { code: 'not_found' });
    }
    const ofBob = await publications.open(bob, { name: 'from-bob', audience: { kind: 'space', path } });
    const ofAlice = await publications.open(alice, { name: 'from-alice', audience: { kind: 'space', path: '/team' } });
    await publications.announce(bob, ofBob.id, { files: [file('f')], gone: [] });
    await publications.announce(alice, ofAlice.id, { files: [file('f')], gone: [] });
    const both = ['alice/from-alice/f', 'bob/from-bob/f'];
    assert.deepEqual([await seen(publications, alice), await seen(publications, bob), await seen(publications, carol)], [both, both, []]);
    await metadata.leave(bob, path);
    assert.deepEqual([await seen(publications, alice), await seen(publications, bob)], [['alice/from-alice/f'], ['bob/from-bob/f']]);
    assert.deepEqual((await publications.toldOf(ofBob.id))?.readers, [bob.userId]);
    assert.deepEqual((await publications.toldOf(ofAlice.id))?.readers, [alice.userId]);
  });

  test(`only the device that publishes announces, and only its user withdraws, on ${name}`, async (t) => {
    const { publications } = await open(t);
    const desktop = { ...alice, deviceId: 'd'.repeat(32) };
    const { id } = await publications.open(alice, { name: 'set', audience: { kind: 'everyone' } });
    const nothing = { files: [], gone: [] };
    for (const who of [bob, desktop]) {
      await assert.rejects(publications.announce(who, id, nothing), { code: 'not_found' });
      await assert.rejects(publications.own(who, id), { code: 'not_found' });
    }
    const other = await publications.open(desktop, { name: 'set', audience: users() });
    assert.notEqual(other.id, id);
    await assert.rejects(publications.withdraw(bob, id), { code: 'not_found' });
    await publications.announce(alice, id, { files: [file('f')], gone: [] });
    await publications.withdraw(desktop, id);
    assert.deepEqual([await seen(publications, alice), await publications.toldOf(id)], [[], null]);
    await assert.rejects(publications.announce(alice, id, nothing), { code: 'not_found' });
    assert.deepEqual(
      (await publications.ofUser(alice)).map((one) => one.id),
      [other.id],
    );
  });

  test(`what is announced is what was said last, and what cannot be is refused whole, on ${name}`, async (t) => {
    const { publications } = await open(t);
    const { id } = await publications.open(alice, { name: 'set', audience: users() });
    const announce = (files: ReturnType<typeof file>[], gone: string[] = []) => publications.announce(alice, id, { files, gone });
    await announce([file('a'), file('b')]);
    await announce([file('b', 2), file('c')], ['a', 'never']);
    assert.deepEqual(await seen(publications, alice), ['alice/set/b', 'alice/set/c']);
    assert.deepEqual((await publications.find(alice, { id, path: 'b' }))?.digest, digest(2));
    for (const path of ['../x', 'a/../../x', '', 'a/', '/x', 'a//b', 'x\0', 'x\n', `${'a/'.repeat(200)}a`, 'n'.repeat(256)]) {
      await assert.rejects(
        announce([file('good'), file(path)]),
        (error: { code?: string }) => /^(name|path)_invalid$/.test(String(error.code)),
        path,
      );
    }
    for (const bad of ['..', '', 'a/b', 'x\n']) {
      await assert.rejects(publications.open(alice, { name: bad, audience: users() }), { code: 'name_invalid' });
    }
    const many = Array.from({ length: LIMITS.publishedFilesMax }, (_, i) => file(`many-${i}`));
    await assert.rejects(announce(many), { code: 'too_large' });
    assert.deepEqual(await seen(publications, alice), ['alice/set/b', 'alice/set/c']);
    for (let n = 1; n < LIMITS.publicationsPerDeviceMax; n += 1) await publications.open(alice, { name: `set-${n}`, audience: users() });
    await assert.rejects(publications.open(alice, { name: 'one more', audience: users() }), { code: 'too_large' });
    await publications.open(alice, { name: 'set-1', audience: users(bob) }); // one that is there
  });

  test(`pages have each file once, and names find what they name, on ${name}`, async (t) => {
    const { publications } = await open(t);
    const paths = ['a', 'b/c', 'b/d', 'é'];
    for (const [who, set] of [
      [alice, 'one'],
      [alice, 'two'],
      [bob, 'one'],
    ] as const) {
      const { id } = await publications.open(who, { name: set, audience: { kind: 'everyone' } });
      await publications.announce(who, id, { files: paths.map((path) => file(path)), gone: [] });
    }
    const all = ['alice/one', 'alice/two', 'bob/one'].flatMap((set) => paths.map((path) => `${set}/${path}`));
    for (const limit of [1, 5, 12]) assert.deepEqual(await seen(publications, carol, { limit }), all);
    assert.deepEqual(await seen(publications, carol, { user: 'alice', name: 'b/c' }), ['alice/one/b/c', 'alice/two/b/c']);
    assert.deepEqual(await seen(publications, carol, { name: 'two/b/c' }), ['alice/two/b/c']);
    assert.deepEqual(await seen(publications, bob, { own: true, name: 'a' }), ['bob/one/a']);
    for (const after of ['x', '', Buffer.from('["a"]').toString('base64url'), Buffer.from('[1,2,3,4]').toString('base64url')]) {
      await assert.rejects(publications.list(carol, { ...ALL, after }), { code: 'cursor_invalid' });
      await assert.rejects(publications.fetches(carol, { after, limit: 1 }), { code: 'cursor_invalid' });
    }
  });

  test(`each fetch is in the record of the owner and of nobody else, for 400 days, on ${name}`, async (t) => {
    let nowMs = 1000;
    const { publications } = await open(t, () => nowMs++);
    const { id } = await publications.open(alice, { name: 'set', audience: { kind: 'everyone' } });
    await publications.announce(alice, id, { files: [file('f', 9)], gone: [] });
    const found = await publications.find(bob, { id, path: 'f' });
    assert.ok(found !== null);
    const note = await publications.noteFetch(bob, found, { start: 0, length: 9 });
    const record = async (who: Principal) => {
      const lines: string[] = [];
      for (let after: string | null = null; ; ) {
        const page = await publications.fetches(who, { after, limit: 1 });
        lines.push(...page.fetches.map(({ user, name: what, start, length, sent }) => `${user} ${what} ${start} ${length} ${sent}`));
        after = page.next;
        if (after === null) return lines;
      }
    };
    assert.deepEqual(await record(alice), ['bob set/f 0 9 null']);
    await note(4);
    await publications.noteFetch(bob, found, { start: 4, length: 5 });
    await publications.withdraw(alice, id);
    assert.deepEqual(await record(alice), ['bob set/f 4 5 null', 'bob set/f 0 9 4']);
    assert.deepEqual(await record(bob), []);
    nowMs += LIMITS.fetchesKeptMs;
    await publications.noteFetch(carol, found, { start: 0, length: 1 });
    assert.deepEqual(await record(alice), ['carol set/f 0 1 null']);
  });

  test(`a flood of fetches drives out the oldest of who makes it, not what others did, and all of them are bounded, on ${name}`, async (t) => {
    let nowMs = 1000;
    const database = await openDatabase<MetadataSchema>(await addressFor(t), MIGRATIONS);
    t.after(() => database.close());
    const kept = { perReader: 3, perOwner: 8, spare: 2 };
    const { noteFetch, fetches } = sqlFetches(database, () => nowMs++, kept);
    const found = { ...file('f', 9), announcedAtMs: 0, publication: { ...alice, id: '1'.repeat(32), name: 'set' } };
    const fetch = async (who: Principal, times: number): Promise<void> => {
      for (let n = 0; n < times; n += 1) await noteFetch(who, found, { start: n, length: 1 });
    };
    const rows = async (who: Principal): Promise<string[]> =>
      (await fetches(who, { after: null, limit: 100 })).fetches.map(({ user, start }) => `${user} ${start}`);
    await fetch(carol, 1);
    await fetch(bob, 21);
    assert.deepEqual(await rows(alice), ['bob 20', 'bob 19', 'bob 18', 'carol 0']);
    for (let n = 0; n < 20; n += 1) await fetch({ ...bob, userId: String(n).padStart(32, '9'), userName: `reader ${n}` }, 1);
    const left = await rows(alice);
    assert.ok(left.length >= kept.perOwner && left.length <= kept.perOwner + kept.spare, left.join());
    assert.equal(left[0], 'reader 19 0');
    nowMs += LIMITS.fetchesKeptMs;
    assert.deepEqual(await rows(alice), []);
    assert.ok((await database.db.selectFrom('fetches').select('id').execute()).length > 0);
    await noteFetch(carol, { ...found, publication: { ...found.publication, ...bob } }, { start: 0, length: 1 });
    await noteFetch(carol, { ...found, publication: { ...found.publication, ...bob } }, { start: 1, length: 1 });
    assert.deepEqual(await database.db.selectFrom('fetches').select('owner_id').distinct().execute(), [{ owner_id: bob.userId }]);
  });

  test(`of readers in turn each one's fetches are bounded, on ${name}`, async (t) => {
    let nowMs = 1000;
    const database = await openDatabase<MetadataSchema>(await addressFor(t), MIGRATIONS);
    t.after(() => database.close());
    const kept = { perReader: 3, perOwner: 100, spare: 2 };
    const { noteFetch, fetches } = sqlFetches(database, () => nowMs++, kept);
    const found = { ...file('f', 9), announcedAtMs: 0, publication: { ...alice, id: '1'.repeat(32), name: 'set' } };
    for (let n = 0; n < 20; n += 1) for (const who of [bob, carol]) await noteFetch(who, found, { start: n, length: 1 });
    const left = Map.groupBy((await fetches(alice, { after: null, limit: 100 })).fetches, ({ user }) => user);
    for (const { userName } of [bob, carol]) {
      const starts = left.get(userName)?.map(({ start }) => start) ?? [];
      assert.ok(starts.length >= kept.perReader && starts.length <= kept.perReader + kept.spare, starts.join());
      assert.equal(starts[0], 19);
    }
  });
}
