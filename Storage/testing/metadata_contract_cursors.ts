import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Metadata, Principal } from '../metadata.ts';
import {
  alice,
  allChanges,
  bob,
  carol,
  contentOf,
  copy,
  done,
  mkdir,
  move,
  newStream,
  type OpenPlace,
  person,
  put,
  remove,
  share,
  symlink,
} from './metadata_fixture.ts';

const one = contentOf('one');

type Histories = { readonly first: Metadata; readonly second: Metadata };

/** Two servers, one of them on a copy of the other's database of a moment ago, as if it had been put back. */
async function histories(open: OpenPlace, t: TestContext, begin: (store: Metadata) => Promise<unknown>): Promise<Histories> {
  const place = await open(t);
  const store = await place.open({ now: () => 7 });
  await begin(store);
  await store.close();
  const copied = await place.copy();
  return { first: await place.open({ now: () => 7 }), second: await copied.open({ now: () => 7 }) };
}

async function fed(store: Metadata, who: Principal, cursor: string | null = null): Promise<string> {
  const end = (await Array.fromAsync(store.feed(who, { root: '/', cursor }))).at(-1);
  assert.ok(end !== undefined && 'cursor' in end);
  return end.cursor;
}

async function assertRefused(store: Metadata, who: Principal, cursor: string, why?: string): Promise<void> {
  await assert.rejects(store.changes(who, { after: cursor, limit: 9 }), { code: 'cursor_invalid' }, why ?? textOf(cursor));
  await assert.rejects(fed(store, who, cursor), { code: 'cursor_invalid' }, why ?? textOf(cursor));
}

async function assertTaken(store: Metadata, who: Principal, cursor: string): Promise<void> {
  await store.changes(who, { after: cursor, limit: 9 });
  await fed(store, who, cursor);
}

const textOf = (cursor: string): string => Buffer.from(cursor, 'base64url').toString();
const cursorOf = (text: string): string => Buffer.from(text).toString('base64url');

export function contractOfCursors(open: OpenPlace): void {
  test('a cursor of another history is refused, whatever the numbers; one of before they parted is taken', async (t) => {
    const { first, second } = await histories(open, t, (store) => done(store, alice, [mkdir('/a'), mkdir('/b')]));
    const common = [await fed(first, alice), ...(await allChanges(first, alice)).changes.map(({ cursor }) => cursor)];
    const write = (store: Metadata) => done(store, alice, [put('/a/f', one), mkdir('/c')], [one]); // in both the very same
    await write(first);
    const ahead = [await fed(first, alice), ...(await allChanges(first, alice)).changes.slice(2).map(({ cursor }) => cursor)];
    assert.equal(ahead.length, 3);
    for (const cursor of ahead) await assertRefused(second, alice, cursor, 'from beyond the journal');
    await write(second);
    for (const cursor of ahead) await assertRefused(second, alice, cursor, 'as long as the other');
    await done(second, alice, [mkdir('/d'), mkdir('/e')]);
    for (const cursor of ahead) await assertRefused(second, alice, cursor, 'longer than the other');
    for (const cursor of (await allChanges(second, alice)).changes.slice(2).map((change) => change.cursor)) {
      await assertRefused(first, alice, cursor);
      await assertTaken(second, alice, cursor);
    }
    for (const cursor of common) for (const store of [first, second]) await assertTaken(store, alice, cursor);
    for (const cursor of ahead) await assertTaken(first, alice, cursor);
  });

  test('of a shared folder too, when nothing else of the reader changed', async (t) => {
    const { first, second } = await histories(open, t, async (store) => {
      await done(store, alice, [mkdir('/team/sub'), mkdir('/own')]);
      await share(store, '/team', bob);
    });
    const common = await fed(first, bob);
    await done(first, alice, [put('/team/sub/f', one)], [one]);
    const cursors = [await fed(first, bob), (await allChanges(first, bob, common)).cursor];
    await done(second, alice, [mkdir('/team/x'), mkdir('/team/y'), mkdir('/team/z')]);
    for (const cursor of cursors) {
      await assertRefused(second, bob, cursor);
      await assertTaken(first, bob, cursor);
    }
    await assertTaken(second, bob, common);
  });

  test('a member who left and joined again keeps the cursor of before, but not in another history', async (t) => {
    const { first, second } = await histories(open, t, async (store) => {
      await done(store, alice, [mkdir('/team')]);
      await share(store, '/team', bob);
    });
    await done(second, alice, [mkdir('/team/elsewhere')]);
    const elsewhere = await fed(second, bob);
    await done(first, alice, [mkdir('/team/here')]);
    const before = await fed(first, bob);
    await first.leave(bob, '/team');
    const away = await fed(first, bob);
    await done(first, alice, [mkdir('/team/away')]);
    await share(first, '/team', bob);
    const joined = [await fed(first, bob), (await allChanges(first, bob)).cursor];
    for (const cursor of [before, away, ...joined]) {
      await assertTaken(first, bob, cursor);
      await assertRefused(second, bob, cursor);
    }
    await assertRefused(first, bob, elsewhere, 'though what is behind it is not shown to who joined later');
    const shown = (await allChanges(first, bob, before)).changes.map(({ path, kind }) => `${kind} ${path}`);
    assert.deepEqual(shown, ['leave /team', 'invited /', 'answered /', 'join /team']);
  });

  test('a cursor of another user is refused, and of the same user with another home', async (t) => {
    const { first, second } = await histories(open, t, (store) => done(store, alice, [mkdir('/a')]));
    const [empty, none] = [await fed(first, carol), (await allChanges(first, bob)).cursor];
    await assertRefused(first, alice, empty);
    await assertRefused(first, carol, await fed(first, alice));
    await fed(second, person('dave')); // has the number that carol's home has there
    await assertRefused(second, carol, empty);
    await assert.rejects(first.changes(bob, { after: empty, limit: 9 }), { code: 'cursor_invalid' });
    await done(first, bob, [mkdir('/b')]);
    assert.equal((await allChanges(first, bob, none)).changes.length, 1, 'of somebody who had no home yet');
  });

  test('a mark without its tag, or with another, is refused', async (t) => {
    const store = await (await open(t)).open();
    const start = await fed(store, alice);
    assert.match(textOf(start), /^[0-9a-f]{8}\.[0-9a-z]+:0$/);
    await done(store, alice, [mkdir('/a'), mkdir('/b')]);
    const [a, b] = (await allChanges(store, alice)).changes.map(({ cursor }) => textOf(cursor)) as [string, string];
    const [home, seq, tag] = b.split(':') as [string, string, string];
    assert.equal(await fed(store, alice), cursorOf(b));
    assert.match(b, /^[0-9a-f]{8}\.[0-9a-z]+:2:[0-9a-z]{6}$/);
    const other = tag.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    const wrong = ['', ':', `:${other}`, `:${tag.slice(1)}`, `:${tag}0`, `:${tag.slice(1)}Z`, `:${tag}:`, `:${tag}:${tag}`, `.${tag}`];
    for (const end of wrong) await assertRefused(store, alice, cursorOf(`${home}:${seq}${end}`));
    for (const beside of ['1', '3', '0', 'zzzzzzzzzzz']) await assertRefused(store, alice, cursorOf(`${home}:${beside}:${tag}`));
    await assertRefused(store, alice, cursorOf(`${home.split('.')[0]}.zzz:0`), 'no home');
    for (const good of [a, b, `${b}~`, `${b},zzz:zzz`, `${b},zzz:zzz:zzzzzz`]) await assertTaken(store, alice, cursorOf(good));
    for (const from of [start, cursorOf(a)]) assert.equal((await allChanges(store, alice, from)).cursor, cursorOf(b));
  });

  test('the cursor past what one stream did is the one that the next feed ends with', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a'), mkdir('/b')]);
    const cursor = await fed(store, alice);
    const { id } = newStream();
    const past = (stream = id, who = alice) => store.cursorPast(who, cursor, stream);
    assert.equal(await past(), cursor, 'nothing was done');
    const first = [mkdir('/a/c'), put('/a/f', one), symlink('/a/l', 'f'), mkdir('/b', true), move('/a/c', '/c')];
    await store.commit(alice, { id, firstOperation: 0, resumed: false }, one.chunks, first);
    const between = await past();
    assert.equal(between, await fed(store, alice));
    await store.commit(alice, { id, firstOperation: 3, resumed: true }, [], [...first.slice(3), remove('/c'), put('/f', one)]);
    const end = await past();
    assert.equal(end, await fed(store, alice));
    assert.notEqual(end, between);
    assert.equal(await past(newStream().id), null, 'another stream did it');
    assert.equal(await past(id, bob), null, 'another user has this cursor');
    for (const wrong of ['', 'x', `${cursor}x`]) assert.equal(await store.cursorPast(alice, wrong, id), null);
    await done(store, alice, [mkdir('/other')]);
    assert.equal(await past(), null, 'something else is behind it');
    assert.equal(await store.cursorPast(alice, end as string, id), null);
  });

  test('a stream that did what its results do not tell is not passed over', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/a/b'), mkdir('/team')]);
    await share(store, '/team', bob);
    for (const operation of [mkdir('/x/y/z'), copy('/a', '/copied'), move('/a', '/team/a'), mkdir('/team/x/y')]) {
      const cursor = await fed(store, alice);
      const stream = newStream();
      const [result] = await store.commit(alice, stream, [], [operation]);
      assert.equal(result?.status, 'done');
      assert.equal(await store.cursorPast(alice, cursor, stream.id), null, JSON.stringify(operation));
    }
  });

  test('what others do in any space that the caller can read is not passed over', async (t) => {
    const store = await (await open(t)).open();
    await done(store, alice, [mkdir('/team'), mkdir('/own')]);
    await share(store, '/team', bob);
    const cursor = await fed(store, bob);
    const stream = newStream();
    await store.commit(bob, stream, [], [mkdir('/team/x'), mkdir('/mine')]);
    const past = await store.cursorPast(bob, cursor, stream.id);
    assert.equal(past, await fed(store, bob));
    await done(store, alice, [mkdir('/own/x')]);
    assert.equal(await store.cursorPast(bob, cursor, stream.id), past, 'bob cannot see that');
    await done(store, alice, [mkdir('/team/y')]);
    assert.equal(await store.cursorPast(bob, cursor, stream.id), null);
    await done(store, alice, [mkdir('/more')]);
    const joining = await fed(store, bob);
    await share(store, '/more', bob);
    assert.equal(await store.cursorPast(bob, joining, stream.id), null, 'a folder was joined');
  });

  test('of a server that went back no cursor becomes a true one by a push', async (t) => {
    const { first, second } = await histories(open, t, (store) => done(store, alice, [mkdir('/a')]));
    await done(first, alice, [mkdir('/b')]);
    const cursor = await fed(first, alice);
    await done(second, alice, [mkdir('/c')]); // has the number that /b had
    const stream = newStream();
    await second.commit(alice, stream, [], [mkdir('/d')]);
    assert.equal(await second.cursorPast(alice, cursor, stream.id), null);
    const own = await fed(second, alice);
    await second.commit(alice, { ...stream, firstOperation: 1 }, [], [mkdir('/e')]);
    const past = await second.cursorPast(alice, own, stream.id);
    assert.ok(past !== null);
    await assertRefused(first, alice, past);
  });

  test('each of many spaces is looked at', async (t) => {
    const store = await (await open(t)).open();
    const names = Array.from({ length: 70 }, (_, i) => `/s${i}`);
    await done(
      store,
      alice,
      names.map((path) => mkdir(path)),
    );
    const { userId, userName } = bob;
    for (const path of names) await store.invite(alice, { path, userId, userName, role: 'viewer', message: null });
    const listed = await fed(store, alice);
    await done(
      store,
      alice,
      names.map((path) => mkdir(`${path}/x`)),
    );
    assert.equal((await allChanges(store, alice, listed)).changes.length, 70);
    const after = await fed(store, alice, listed);
    assert.equal(await fed(store, alice, after), after);
    assert.ok(after.length < 20 * 71, `${after.length} characters`);
    await done(
      store,
      alice,
      names.map((path) => mkdir(`${path}/y`)),
    );
    await assertTaken(store, alice, after); // the marks and the heads are too many for one statement
    const marks = textOf(after).split(',');
    for (const at of [1, 35, 70]) {
      const forged = marks.with(
        at,
        (marks[at] as string).replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
      );
      await assertRefused(store, alice, cursorOf(forged.join(',')), `mark ${at}`);
    }
  });
}
