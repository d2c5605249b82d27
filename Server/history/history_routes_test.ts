import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROUTES } from '../../Models/routes.ts';
import { uploadOf } from '../testing/form.ts';
import { ok, refused, requests } from '../testing/requests.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
before(async () => {
  server = await openServer();
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
});
after(() => server[Symbol.asyncDispose]());

const { get, post, remove } = requests(() => server);

async function written(path: string, content: string): Promise<number> {
  return ok(await server.ask(alice, uploadOf(path, content))).json().version;
}

test('older versions are listed, read, made the newest and copied', async () => {
  const first = await written('/doc', 'first');
  await written('/doc', 'second');
  const { versions, next } = ok(await get(alice, ROUTES.versions, { path: '/doc', limit: '1' })).json();
  assert.deepEqual([versions.length, versions[0].current, versions[0].user], [1, true, 'alice']);
  const rest = ok(await get(alice, ROUTES.versions, { path: '/doc', after: next })).json();
  assert.deepEqual([rest.versions[0].version, rest.next], [first, null]);
  const older = ok(await get(alice, ROUTES.files, { path: '/doc', version: String(first) }));
  assert.equal(older.bytes.toString(), 'first');
  assert.equal(ok(await get(alice, ROUTES.preview, { path: '/doc', version: String(first) })).bytes.toString(), 'first');
  assert.equal(ok(await post(alice, ROUTES.restore, { path: '/doc', version: first, to: '/new/copy' })).json().path, '/new/copy');
  assert.equal(ok(await post(alice, ROUTES.restore, { path: '/doc', version: first })).json().unchanged, false);
  for (const path of ['/doc', '/new/copy']) assert.equal(ok(await get(alice, ROUTES.files, { path })).bytes.toString(), 'first');
  refused(await post(alice, ROUTES.restore, { path: '/doc', version: first, to: '/new' }), 409, 'not_a_file');
  refused(await post(alice, ROUTES.restore, { path: '/doc', version: first + 1, to: '/new/copy' }), 409, 'already_exists');
});

test('versions of other nodes, of nobody and of the future are not found, whoever asks', async () => {
  const first = await written('/mine', 'x');
  const other = await written('/other', 'y');
  for (const version of [other, 999_999, Number.MAX_SAFE_INTEGER]) {
    refused(await post(alice, ROUTES.restore, { path: '/mine', version }), 404, 'not_found');
    refused(await get(alice, ROUTES.files, { path: '/mine', version: String(version) }), 404, 'not_found');
  }
  refused(await post(bob, ROUTES.restore, { path: '/mine', version: first }), 404, 'not_found');
  refused(await get(bob, ROUTES.versions, { path: '/mine' }), 404, 'not_found');
  refused(await get(bob, ROUTES.deeds, { path: '/mine' }), 404, 'not_found');
  for (const version of ['0', '-1', '1.5', 'x', '1e300']) {
    refused(await get(alice, ROUTES.files, { path: '/mine', version }), 400, 'request_invalid');
  }
  for (const body of [{ path: '/mine' }, { path: '/mine', version: '1' }, { path: '/mine', version: 0 }]) {
    refused(await post(alice, ROUTES.restore, body), 400, 'request_invalid');
  }
  refused(await post(alice, ROUTES.restore, { path: '/mine', version: first, to: '/a\u0000b' }), 400, 'name_invalid');
});

test('what was deleted is shown with who did it, and comes back', async () => {
  await written('/gone/deep/f', 'content');
  ok(await remove(alice, '/gone'));
  const { items } = ok(await get(alice, ROUTES.trash, { path: '/gone' })).json();
  assert.deepEqual([items.length, items[0].path, items[0].kind, items[0].user, items[0].reason], [1, '/gone', 'folder', 'alice', null]);
  const { deeds } = ok(await get(alice, ROUTES.deeds, { path: '/gone/deep/f' })).json();
  assert.deepEqual(
    deeds.map(({ kind, path }: { kind: string; path: string }) => [kind, path]),
    [
      ['delete', '/gone'],
      ['put', '/gone/deep/f'],
    ],
  );
  assert.equal(deeds[0].operation, items[0].operation);
  refused(await post(bob, ROUTES.undelete, { id: items[0].id, to: '/stolen' }), 404, 'not_found');
  refused(await post(alice, ROUTES.undelete, { id: items[0].id, path: '/gone' }), 400, 'request_invalid');
  refused(await post(alice, ROUTES.undelete, {}), 400, 'request_invalid');
  assert.equal(ok(await post(alice, ROUTES.undelete, { id: items[0].id })).json().path, '/gone');
  assert.equal(ok(await get(alice, ROUTES.files, { path: '/gone/deep/f' })).bytes.toString(), 'content');
  refused(await post(alice, ROUTES.undelete, { id: items[0].id }), 409, 'already_exists');
});

test('who has moved a file into a shared folder has it in their trash, and sees there nothing of who took it out to the same name', async () => {
  await written('/given', 'mine');
  ok(await post(alice, ROUTES.folders, { path: '/ours' }));
  const invitation = ok(await post(alice, ROUTES.invitations, { path: '/ours', user: bob.name, role: 'editor' })).json();
  ok(await post(bob, `${ROUTES.invitations}/${invitation.id}/accept`, {}));
  ok(await post(alice, ROUTES.move, { from: '/given', to: '/ours/given' }));
  ok(await post(bob, ROUTES.move, { from: '/ours/given', to: '/given' }));
  const trash = async (): Promise<unknown[]> =>
    ok(await get(alice, ROUTES.trash, { path: '/given' }))
      .json()
      .items.map(({ path, user, size }: { path: string; user: string; size: number }) => [path, user, size]);
  assert.deepEqual(await trash(), [['/given', 'alice', 4]]);
  ok(await remove(bob, '/given'));
  assert.deepEqual(await trash(), [['/given', 'alice', 4]]);
});

test('a position of another listing, or of another user, is refused', async () => {
  const version = await written('/p', '1');
  await written('/p', '2');
  const { next } = ok(await get(alice, ROUTES.versions, { path: '/p', limit: '1' })).json();
  await written('/q', '3');
  refused(await get(alice, ROUTES.versions, { path: '/q', after: next }), 400, 'cursor_invalid');
  ok(await server.ask(bob, uploadOf('/p', 'b')));
  refused(await get(bob, ROUTES.versions, { path: '/p', after: next }), 400, 'cursor_invalid');
  refused(await get(bob, ROUTES.trash, { after: `${next.split('.')[0]}.${version}` }), 400, 'cursor_invalid');
  refused(await get(alice, ROUTES.deeds, { path: '/p', after: '%' }), 400, 'cursor_invalid');
});

test('two versions of a text are compared; what is not text, too large or of something else is refused', async () => {
  const first = await written('/text', 'one\ntwo\n');
  const second = await written('/text', 'one\n2\u001b[31m\n');
  const other = await written('/other', 'x');
  const { diff, to } = ok(await get(alice, ROUTES.diff, { path: '/text', from: String(first) })).json();
  assert.equal(to, second);
  assert.ok(diff.includes('-two\n+2\u001b[31m\n'), diff);
  assert.equal(ok(await get(alice, ROUTES.diff, { path: '/text', from: String(first), to: String(first) })).json().diff, '');
  refused(await get(alice, ROUTES.diff, { path: '/text', from: String(other) }), 404, 'not_found');
  refused(await get(bob, ROUTES.diff, { path: '/text', from: String(first) }), 404, 'not_found');
  const binary = await written('/text', 'a\u0000b');
  refused(await get(alice, ROUTES.diff, { path: '/text', from: String(first), to: String(binary) }), 409, 'not_text');
  const large = await written('/text', 'x'.repeat(1024 * 1024 + 1));
  refused(await get(alice, ROUTES.diff, { path: '/text', from: String(large), to: String(first) }), 413, 'too_large');
});

test('a version is pinned by who may change the file, and a pin on nothing is refused', async () => {
  const version = await written('/pinned', '1');
  await written('/pinned', '2');
  const pins = async () =>
    ok(await get(alice, ROUTES.versions, { path: '/pinned' }))
      .json()
      .versions.map(({ pinned }: { pinned: boolean }) => pinned);
  ok(await post(alice, ROUTES.pins, { path: '/pinned', version }));
  assert.deepEqual(await pins(), [false, true]);
  refused(await post(bob, ROUTES.pins, { path: '/pinned', version }), 404, 'not_found');
  refused(await post(alice, ROUTES.pins, { path: '/pinned', version: version + 50 }), 404, 'not_found');
  ok(
    await server.ask(alice, {
      method: 'DELETE',
      url: `${ROUTES.pins}?${new URLSearchParams({ path: '/pinned', version: String(version) })}`,
    }),
  );
  assert.deepEqual(await pins(), [false, false]);
});

test('who joins later is told how things are now, not under which names they were before', async () => {
  await written('/team/secret plan/sub/notes', 'x');
  await written('/team/secret name', 'y');
  await post(alice, ROUTES.move, { from: '/team/secret name', to: '/team/name' });
  await post(alice, ROUTES.move, { from: '/team/secret plan', to: '/team/plan' });
  const carol = await server.addUser('carol');
  const invite = async (user: User, name: string) => {
    const { id } = ok(await post(alice, ROUTES.invitations, { path: '/team', user: name, role: 'viewer' })).json();
    return ok(await post(user, `${ROUTES.invitations}/${id}/accept`, {})).json().path as string;
  };
  await invite(carol, 'carol'); // it is a space of its own now
  await post(alice, ROUTES.move, { from: '/team/name', to: '/team/secret name' });
  await post(alice, ROUTES.move, { from: '/team/secret name', to: '/team/name' });
  await post(alice, ROUTES.move, { from: '/team/plan/sub', to: '/team/plan/secret sub' });
  await written('/team/plan/secret sub/more', 'z');
  await post(alice, ROUTES.move, { from: '/team/plan/secret sub', to: '/team/plan/sub' });
  const path = await invite(bob, 'bob');
  for (const below of ['/plan/sub/notes', '/name', '/plan', '/plan/sub', '/plan/sub/more']) {
    const { deeds } = ok(await get(bob, ROUTES.deeds, { path: path + below })).json();
    assert.doesNotMatch(JSON.stringify(deeds), /secret/, below);
    assert.equal(deeds[0].path, path + below);
    if (below.startsWith('/plan') && !/notes|more/.test(below)) continue;
    const { versions } = ok(await get(bob, ROUTES.versions, { path: path + below })).json();
    assert.doesNotMatch(JSON.stringify(versions), /secret/, below);
    assert.equal(versions[0].path, path + below);
  }
  assert.match(JSON.stringify(ok(await get(carol, ROUTES.deeds, { path: `${path}/name` })).json()), /secret/);
});
