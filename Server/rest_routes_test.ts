import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { uploadOf } from './testing/form.ts';
import { ok } from './testing/requests.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
let carol: User;
before(async () => {
  server = await openServer();
  [alice, bob, carol] = [await server.addUser('alice'), await server.addUser('bob'), await server.addUser('carol')];
});
after(() => server[Symbol.asyncDispose]());

const query = (path: string, rest: Record<string, string> = {}) => new URLSearchParams({ path, ...rest }).toString();
const get = (user: User, route: string, path: string, headers: Record<string, string> = {}) =>
  server.ask(user, { method: 'GET', url: `${route}?${query(path)}`, headers });
const post = (user: User, url: string, body: object, headers: Record<string, string> = {}) =>
  server.ask(user, { method: 'POST', url, headers, payload: body });
const upload = (user: User, ...form: Parameters<typeof uploadOf>) => server.ask(user, uploadOf(...form));
const names = (answer: Answer): string[] => answer.json().entries.map((entry: { path: string }) => entry.path);

test('a file goes up, is listed, and comes down as it was', async () => {
  const content = randomBytes(3_000_000);
  const mtime = '2024-02-29T12:34:56.123456Z';
  const up = ok(await upload(alice, '/reports/q3.pdf', content, { mtime, executable: 'true' })).json();
  assert.deepEqual([up.path, up.size, up.unchanged], ['/reports/q3.pdf', content.length, false]);
  const entry = ok(await get(alice, ROUTES.entry, '/reports/q3.pdf')).json();
  const { version, digest, ...rest } = entry;
  assert.deepEqual([version, digest], [up.version, up.digest]);
  const expected = { path: '/reports/q3.pdf', kind: 'file', size: content.length, mtime, executable: true, target: null, shared: null };
  assert.deepEqual(rest, expected);
  const down = ok(await get(alice, ROUTES.files, '/reports/q3.pdf'));
  assert.ok(down.bytes.equals(content));
  assert.equal(down.headers['content-length'], String(content.length));
  assert.equal(down.headers.etag, `"${digest}"`);
  assert.match(String(down.headers['content-disposition']), /^attachment; filename="q3\.pdf"/);
  assert.equal(down.headers['x-content-type-options'], 'nosniff');
  assert.match(String(down.headers['content-security-policy']), /sandbox/);
  assert.equal(down.headers['cache-control'], 'private, no-store');
  assert.equal(down.headers['content-type'], 'application/octet-stream');
});

test('an empty file and a file of one byte are files like others', async () => {
  for (const content of ['', 'x']) {
    const { digest } = ok(await upload(alice, '/small', content)).json();
    assert.equal(digest, createHash('sha256').update(content).digest('hex'));
    assert.equal(ok(await get(alice, ROUTES.files, '/small')).bytes.toString(), content);
    assert.equal(ok(await get(alice, ROUTES.preview, '/small')).bytes.toString(), content);
  }
});

test('a range, a suffix and a condition give just what was asked', async () => {
  const content = randomBytes(2_500_000);
  const { digest } = ok(await upload(alice, '/ranged', content)).json();
  const etag = `"${digest}"`;
  const cases: [string, number, number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=1000000-1999999', 1_000_000, 2_000_000],
    ['bytes=2499999-', 2_499_999, 2_500_000],
    ['bytes=-10', 2_499_990, 2_500_000],
    ['bytes=5-99999999', 5, 2_500_000],
  ];
  for (const [range, from, to] of cases) {
    const part = await get(alice, ROUTES.files, '/ranged', { range, 'if-range': etag });
    assert.equal(part.status, 206);
    assert.ok(part.bytes.equals(content.subarray(from, to)), range);
    assert.equal(part.headers['content-range'], `bytes ${from}-${to - 1}/${content.length}`);
  }
  const beyond = await get(alice, ROUTES.files, '/ranged', { range: 'bytes=2500000-' });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.json().code, 'range_invalid');
  assert.equal(beyond.headers['content-range'], `bytes */${content.length}`);
  assert.equal((await get(alice, ROUTES.files, '/ranged', { range: 'bytes=0-1', 'if-range': '"old"' })).bytes.length, content.length);
  const same = await get(alice, ROUTES.files, '/ranged', { 'if-none-match': etag });
  assert.deepEqual([same.status, same.bytes.length, same.headers.etag], [304, 0, etag]);
  const stale = await get(alice, ROUTES.files, '/ranged', { 'if-match': '"old"' });
  assert.deepEqual([stale.status, stale.json().code], [412, 'version_stale']);
  const head = await server.ask(alice, { method: 'HEAD', url: `${ROUTES.files}?${query('/ranged')}` });
  assert.deepEqual([head.status, head.bytes.length, head.headers['content-length'], head.headers.etag], [200, 0, '2500000', etag]);
});

test('a preview is the first 1024 bytes', async () => {
  const content = randomBytes(700_000);
  ok(await upload(alice, '/long', content));
  const preview = ok(await get(alice, ROUTES.preview, '/long'));
  assert.ok(preview.bytes.equals(content.subarray(0, LIMITS.previewBytes)));
});

test('folders are made, moved, copied and deleted', async () => {
  ok(await post(alice, ROUTES.folders, { path: '/tree/deep' }));
  assert.equal((await post(alice, ROUTES.folders, { path: '/tree/deep' })).json().code, 'already_exists');
  assert.equal(ok(await post(alice, ROUTES.folders, { path: '/tree/deep', existingOk: true })).json().unchanged, true);
  ok(await upload(alice, '/tree/deep/a.txt', 'A'));
  ok(await post(alice, ROUTES.move, { from: '/tree/deep', to: '/tree/moved' }));
  ok(await post(alice, ROUTES.copy, { from: '/tree/moved', to: '/tree/copied' }));
  assert.equal(ok(await get(alice, ROUTES.files, '/tree/copied/a.txt')).bytes.toString(), 'A');
  assert.equal((await get(alice, ROUTES.entry, '/tree/deep')).status, 404);
  ok(await server.ask(alice, { method: 'DELETE', url: `${ROUTES.entry}?${query('/tree/moved')}` }));
  assert.deepEqual(names(ok(await get(alice, ROUTES.list, '/tree'))), ['/tree/copied']);
});

test('a listing is paged, sorted and searched', async () => {
  for (let i = 0; i < 7; i += 1) ok(await upload(alice, `/paged/n${i}.txt`, 'x'.repeat(10 - i)));
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const page = ok(
      await server.ask(alice, {
        method: 'GET',
        url: `${ROUTES.list}?${query('/paged', { limit: '3', ...(after !== null && { after }) })}`,
      }),
    );
    seen.push(...names(page));
    after = page.json().next;
  } while (after !== null);
  const inOrder = Array.from({ length: 7 }, (_, i) => `/paged/n${i}.txt`);
  assert.deepEqual(seen, inOrder);
  const bySize = ok(await server.ask(alice, { method: 'GET', url: `${ROUTES.list}?${query('/paged', { sort: 'size' })}` }));
  assert.deepEqual(names(bySize), inOrder.toReversed());
  const found = ok(await server.ask(alice, { method: 'GET', url: `${ROUTES.list}?${query('/', { search: 'N4.T' })}` }));
  assert.deepEqual(names(found), ['/paged/n4.txt']);
});

test('a stale base is refused and nothing is changed', async () => {
  const first = ok(await upload(alice, '/based', 'one')).json().version;
  ok(await upload(alice, '/based', 'two', { base: String(first) }));
  const stale = await upload(alice, '/based', 'three', { base: String(first) });
  assert.deepEqual([stale.status, stale.json().code], [409, 'version_stale']);
  assert.equal((await upload(alice, '/based', 'four', { base: 'absent' })).status, 409);
  const url = `${ROUTES.entry}?${query('/based', { base: String(first) })}`;
  assert.equal((await server.ask(alice, { method: 'DELETE', url })).json().code, 'version_stale');
  assert.equal((await get(alice, ROUTES.files, '/based')).bytes.toString(), 'two');
});

test('with an Idempotency-Key a request is done once, and the same key for something else is something else', async () => {
  const body = { path: '/once' };
  const key = { 'idempotency-key': 'k1' };
  const first = ok(await post(alice, ROUTES.folders, body, key)).json();
  assert.deepEqual(ok(await post(alice, ROUTES.folders, body, key)).json(), first);
  assert.equal((await post(alice, ROUTES.folders, body)).json().code, 'already_exists');
  assert.equal(ok(await post(alice, ROUTES.folders, { path: '/twice' }, key)).json().path, '/twice');
  ok(await get(alice, ROUTES.entry, '/twice'));
  ok(await post(bob, ROUTES.folders, body, key));
  const form = uploadOf('/once/file', 'content', { base: 'absent' });
  const put = { ...form, headers: { ...form.headers, 'idempotency-key': 'k2' } };
  const stored = ok(await server.ask(alice, put)).json();
  ok(await upload(alice, '/once/file', 'newer'));
  assert.equal(ok(await server.ask(alice, put)).json().version, stored.version);
  assert.equal((await get(alice, ROUTES.files, '/once/file')).bytes.toString(), 'newer');
  const other = uploadOf('/once/file', 'other content');
  ok(await server.ask(alice, { ...other, headers: { ...other.headers, 'idempotency-key': 'k2' } }));
  assert.equal((await get(alice, ROUTES.files, '/once/file')).bytes.toString(), 'other content');
  for (const bad of ['', 'x'.repeat(LIMITS.idempotencyKeyBytesMax + 1)]) {
    const answer = await post(alice, ROUTES.folders, { path: '/bad-key' }, { 'idempotency-key': bad });
    assert.deepEqual([answer.status, answer.json().code], [400, 'request_invalid']);
  }
});

test('the change feed tells what happened after a cursor', async () => {
  const feed = (after: string | null) =>
    server.ask(carol, { method: 'GET', url: `${ROUTES.changes}${after === null ? '' : `?${new URLSearchParams({ after })}`}` });
  const { cursor } = ok(await feed(null)).json();
  ok(await upload(carol, '/feed.txt', 'x'));
  ok(await post(carol, ROUTES.move, { from: '/feed.txt', to: '/fed.txt' }));
  const next = ok(await feed(cursor)).json();
  assert.deepEqual(
    next.changes.map((change: { kind: string; path: string; user: string }) => [change.kind, change.path, change.user]),
    [
      ['put', '/feed.txt', 'carol'],
      ['move', '/fed.txt', 'carol'],
    ],
  );
  assert.equal(ok(await feed(next.cursor)).json().changes.length, 0);
  assert.equal((await feed('not a cursor')).json().code, 'cursor_invalid');
});

test('a folder is shared by invitation, and only with the invited', async () => {
  ok(await upload(alice, '/shared/plan.txt', 'the plan'));
  const invited = ok(await post(alice, ROUTES.invitations, { path: '/shared', user: 'bob', role: 'editor', message: 'hello' })).json();
  assert.deepEqual([invited.to, invited.role, invited.state, invited.folder], ['bob', 'editor', 'pending', 'shared']);
  const list = ok(await server.ask(bob, { method: 'GET', url: ROUTES.invitations })).json();
  assert.deepEqual(
    list.received.map((one: { id: string; message: string }) => [one.id, one.message]),
    [[invited.id, 'hello']],
  );
  assert.equal((await post(carol, `${ROUTES.invitations}/${invited.id}/accept`, {})).status, 404);
  const accept = { method: 'POST', url: `${ROUTES.invitations}/${invited.id}/accept` } as const;
  const { path } = ok(await server.ask(bob, accept)).json();
  assert.equal(ok(await get(bob, ROUTES.files, `${path}/plan.txt`)).bytes.toString(), 'the plan');
  assert.equal((await get(carol, ROUTES.files, `${path}/plan.txt`)).status, 404);
  ok(await upload(bob, `${path}/plan.txt`, 'a better plan'));
  assert.equal(ok(await get(alice, ROUTES.files, '/shared/plan.txt')).bytes.toString(), 'a better plan');
  const { members } = ok(await get(alice, ROUTES.members, '/shared')).json();
  assert.deepEqual(members.map((member: { user: string; role: string }) => `${member.user} ${member.role}`).sort(), [
    'alice owner',
    'bob editor',
  ]);
  assert.equal(ok(await post(bob, ROUTES.leave, { path })).status, 204);
  assert.equal((await get(bob, ROUTES.files, `${path}/plan.txt`)).status, 404);
});

test('a member gets another role, is taken out, and accepts at a path', async () => {
  ok(await upload(alice, '/roles/plan.txt', 'the plan'));
  const { id, expiresAt } = ok(await post(alice, ROUTES.invitations, { path: '/roles', user: 'bob', lifetimeS: 3600 })).json();
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 3_600_000) < 60_000);
  assert.equal((await post(bob, `${ROUTES.invitations}/${id}/accept`, { at: '/no/such/folder' })).json().code, 'not_found');
  ok(await post(bob, ROUTES.folders, { path: '/from others', existingOk: true }));
  assert.deepEqual(ok(await post(bob, `${ROUTES.invitations}/${id}/accept`, { at: '/from others/plans' })).json(), {
    path: '/from others/plans',
  });
  assert.equal((await upload(bob, '/from others/plans/mine', 'x')).json().code, 'forbidden');
  const member = { user: 'bob', displayName: null, role: 'editor', state: 'member', inherited: false };
  assert.deepEqual(ok(await post(alice, ROUTES.members, { path: '/roles', user: 'bob', role: 'editor' })).json(), member);
  ok(await upload(bob, '/from others/plans/mine', 'x'));
  const memberUrl = (path: string, name: string) => `${ROUTES.members}?${query(path, { user: name })}`;
  assert.equal((await server.ask(bob, { method: 'DELETE', url: memberUrl('/from others/plans', 'alice') })).json().code, 'forbidden');
  assert.equal((await server.ask(carol, { method: 'DELETE', url: memberUrl('/roles', 'bob') })).json().code, 'not_found');
  assert.equal((await server.ask(alice, { method: 'DELETE', url: memberUrl('/roles', 'nobody') })).json().code, 'user_unknown');
  assert.equal((await server.ask(alice, { method: 'DELETE', url: memberUrl('/roles', 'carol') })).json().code, 'user_unknown');
  assert.equal(ok(await server.ask(alice, { method: 'DELETE', url: memberUrl('/roles', 'bob') })).status, 204);
  assert.equal((await get(bob, ROUTES.files, '/from others/plans/plan.txt')).status, 404);
  assert.equal((await post(alice, ROUTES.members, { path: '/roles', user: 'bob', role: 'editor' })).json().code, 'user_unknown');
});

test('what members say to be called is told to members, of members alone', async () => {
  const say = (user: User, displayName: string) =>
    server.accounts.changeInSession({
      sessionId: user.sessionId,
      transaction: randomBytes(16).toString('hex'),
      number: Date.now(),
      change: { kind: 'setDisplayName', displayName },
      atMs: Date.now(),
    });
  await Promise.all([say(bob, 'Bob the Builder'), say(carol, 'Carol')]);
  ok(await post(alice, ROUTES.folders, { path: '/called' }));
  const { id } = ok(await post(alice, ROUTES.invitations, { path: '/called', user: 'bob', role: 'viewer' })).json();
  ok(await post(alice, ROUTES.invitations, { path: '/called', user: 'carol', role: 'viewer' }));
  const called = async (who: User): Promise<string[]> =>
    ok(await get(who, ROUTES.members, '/called'))
      .json()
      .members.map(({ user, displayName }: { user: string; displayName: string | null }) => `${user} ${displayName}`);
  assert.deepEqual(await called(alice), ['alice null', 'bob null', 'carol null']);
  ok(await post(bob, `${ROUTES.invitations}/${id}/accept`, {}));
  for (const who of [alice, bob]) assert.deepEqual(await called(who), ['alice null', 'bob Bob the Builder', 'carol null']);
  const changed = ok(await post(alice, ROUTES.members, { path: '/called', user: 'bob', role: 'editor' })).json();
  assert.equal(changed.displayName, 'Bob the Builder');
});

test('an invitation can be declined, and nobody can be invited who does not exist', async () => {
  ok(await post(alice, ROUTES.folders, { path: '/declined' }));
  const unknown = await post(alice, ROUTES.invitations, { path: '/declined', user: 'nobody' });
  assert.deepEqual([unknown.status, unknown.json().code], [404, 'user_unknown']);
  assert.equal((await post(alice, ROUTES.invitations, { path: '/declined', user: 'alice' })).json().code, 'invitation_invalid');
  const { id } = ok(await post(alice, ROUTES.invitations, { path: '/declined', user: 'bob' })).json();
  assert.equal(ok(await server.ask(bob, { method: 'POST', url: `${ROUTES.invitations}/${id}/decline` })).status, 204);
  assert.equal((await server.ask(bob, { method: 'POST', url: `${ROUTES.invitations}/${id}/accept` })).json().code, 'invitation_invalid');
});

test('health is told to anybody', async () => {
  const ready = await server.ask(null, { method: 'GET', url: '/readyz' });
  assert.deepEqual([ready.status, ready.json()], [200, { status: 'ready', problems: [] }]);
  assert.equal((await server.ask(null, { method: 'GET', url: '/healthz' })).status, 200);
});
