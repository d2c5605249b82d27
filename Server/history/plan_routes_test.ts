import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../Models/limits.ts';
import type { Operation } from '../../Models/operations.ts';
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
const put = async (user: User, path: string, content: string) => void ok(await server.ask(user, uploadOf(path, content)));
const makeFolders = async ({ id, name }: User, paths: readonly string[]): Promise<void> => {
  const operations = paths.map((path): Operation => ({ kind: 'mkdir', path, existingOk: false, mode: null, mtimeUs: null }));
  const stream = { id: randomBytes(16), firstOperation: 0, resumed: false };
  await server.metadata.commit({ userId: id, userName: name, deviceId: 'filler' }, stream, [], operations);
};
const cursorOf = async (user: User): Promise<string> => ok(await get(user, ROUTES.changes, { limit: '5000' })).json().cursor;

async function there(user: User, folder: string): Promise<string[]> {
  const { entries } = ok(await get(user, ROUTES.list, { path: folder })).json();
  return entries.map(({ path }: { path: string }) => path);
}

test('a folder is rewound as it was previewed, in pages, and the rewind is undone', async () => {
  await put(alice, '/work/a', '1');
  await put(alice, '/work/b', '2');
  const cursor = await cursorOf(alice);
  await put(alice, '/work/a', 'encrypted');
  ok(await post(alice, ROUTES.move, { from: '/work/b', to: '/work/b.locked' }));
  await put(alice, '/work/ransom.txt', 'pay');
  const preview = ok(await post(alice, ROUTES.rewind, { path: '/work', cursor })).json();
  assert.deepEqual(preview.counts, { delete: 1, move: 1, restore: 0, content: 1 });
  assert.deepEqual(await there(alice, '/work'), ['/work/a', '/work/b.locked', '/work/ransom.txt']); // it only was a preview
  const steps = [];
  for (let after: string | undefined; ; ) {
    const page = ok(await get(alice, ROUTES.plans, { plan: preview.plan, limit: '1', ...(after === undefined ? {} : { after }) })).json();
    steps.push(...page.steps);
    if (page.next === null) break;
    after = page.next;
  }
  assert.deepEqual(steps, preview.steps);
  const { operation, counts } = ok(await post(alice, ROUTES.plans, { plan: preview.plan })).json();
  assert.deepEqual(counts, preview.counts);
  assert.deepEqual(await there(alice, '/work'), ['/work/a', '/work/b']);
  assert.equal(ok(await get(alice, ROUTES.files, { path: '/work/a' })).bytes.toString(), '1');
  const { deeds } = ok(await get(alice, ROUTES.deeds, { path: '/work/a' })).json();
  assert.deepEqual([deeds[0].reason, deeds[0].operation], ['rewind', operation]);
  refused(await post(alice, ROUTES.plans, { plan: preview.plan }), 409, 'version_stale');
  const undo = ok(await post(alice, ROUTES.undo, { operation })).json();
  ok(await post(alice, ROUTES.plans, { plan: undo.plan }));
  assert.deepEqual(await there(alice, '/work'), ['/work/a', '/work/b.locked', '/work/ransom.txt']);
});

test('a plan is not carried out when something came between, and then nothing of it is', async () => {
  await put(alice, '/race/a', '1');
  await put(alice, '/race/b', '1');
  const cursor = await cursorOf(alice);
  await put(alice, '/race/a', '2');
  ok(await remove(alice, '/race/b'));
  const { plan } = ok(await post(alice, ROUTES.rewind, { path: '/race', cursor })).json();
  await put(alice, '/race/new', '3');
  refused(await post(alice, ROUTES.plans, { plan }), 409, 'version_stale');
  refused(await get(alice, ROUTES.plans, { plan }), 409, 'version_stale');
  assert.deepEqual(await there(alice, '/race'), ['/race/a', '/race/new']);
  assert.equal(ok(await get(alice, ROUTES.files, { path: '/race/a' })).bytes.toString(), '2');
  const { plan: another } = ok(await post(alice, ROUTES.rewind, { path: '/race', cursor })).json();
  await put(alice, '/elsewhere', 'not about this folder');
  ok(await post(alice, ROUTES.plans, { plan: another }));
  assert.deepEqual(await there(alice, '/race'), ['/race/a', '/race/b']);
});

test('the pages of a long plan are those of what was previewed, though something came between, and it is not carried out', async () => {
  await put(alice, '/long/f', '1');
  const cursor = await cursorOf(alice);
  const since = new Date(Date.now() - 1000).toISOString();
  await makeFolders(
    alice,
    Array.from({ length: LIMITS.pageEntriesDefault + 1 }, (_, i) => `/long/${i}`),
  );
  const device = { device: 'filler', since };
  for (const [route, body] of [
    [ROUTES.rewind, { path: '/long', cursor }],
    [ROUTES.undo, device],
  ] as const) {
    const first = ok(await post(alice, route, body)).json();
    await put(alice, '/long/f', first.plan);
    await makeFolders(alice, [`/long/new${route.length}`]);
    const { steps, next } = ok(await get(alice, ROUTES.plans, { plan: first.plan, after: first.next })).json();
    assert.deepEqual([first.steps.length + steps.length, next], [first.counts.delete, null]);
    refused(await post(alice, ROUTES.plans, { plan: first.plan }), 409, 'version_stale');
  }
});

test('nobody goes back before the beginning, to the cursor of another, or where there was nothing', async () => {
  const early = '2020-01-01T00:00:00Z';
  await put(alice, '/begin/f', '1');
  refused(await post(alice, ROUTES.rewind, { path: '/', time: early }), 404, 'not_found');
  refused(await post(alice, ROUTES.rewind, { path: '/begin', time: early }), 404, 'not_found');
  const before = await cursorOf(alice);
  await put(alice, '/late/f', '1');
  refused(await post(alice, ROUTES.rewind, { path: '/late', cursor: before }), 404, 'not_found');
  refused(await post(alice, ROUTES.rewind, { path: '/late/f', cursor: before }), 409, 'not_a_folder');
  refused(await post(alice, ROUTES.rewind, { path: '/none', cursor: before }), 404, 'not_found');
  await put(bob, '/begin/f', '1');
  refused(await post(alice, ROUTES.rewind, { path: '/begin', cursor: await cursorOf(bob) }), 400, 'cursor_invalid');
  refused(await post(bob, ROUTES.rewind, { path: '/late', cursor: await cursorOf(bob) }), 404, 'not_found');
  for (const body of [
    { path: '/begin' },
    { path: '/begin', time: early, cursor: 'x' },
    { path: '/begin', time: 'yesterday' },
    { time: early },
  ]) {
    refused(await post(alice, ROUTES.rewind, body), 400, 'request_invalid');
  }
});

test('a plan that is none, or of another user, does nothing', async () => {
  await put(alice, '/own/f', '1');
  const cursor = await cursorOf(alice);
  await put(alice, '/own/f', '2');
  const { plan } = ok(await post(alice, ROUTES.rewind, { path: '/own', cursor })).json();
  refused(await post(bob, ROUTES.plans, { plan }), 404, 'not_found');
  const [request, digest] = JSON.parse(Buffer.from(plan, 'base64url').toString());
  const token = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const wrong = [
    'x',
    token([]),
    token([request]),
    token([request, 'f'.repeat(63)]),
    token([{ ...request, kind: 'erase' }, digest]),
    token(null),
  ];
  for (const each of wrong) refused(await post(alice, ROUTES.plans, { plan: each }), 400, 'request_invalid');
  refused(await post(alice, ROUTES.plans, { plan: token([{ ...request, path: 'own' }, digest]) }), 400, 'path_invalid');
  refused(await post(alice, ROUTES.plans, { plan: token([request, 'f'.repeat(64)]) }), 409, 'version_stale');
  for (const after of ['-1', 'x', '1e9']) refused(await get(alice, ROUTES.plans, { plan, after }), 400, 'cursor_invalid');
  assert.equal(ok(await get(alice, ROUTES.files, { path: '/own/f' })).bytes.toString(), '2');
});

test('an operation that is unknown, or of strangers, is not found', async () => {
  await put(bob, '/secret/f', '1');
  const { deeds } = ok(await get(bob, ROUTES.deeds, { path: '/secret/f' })).json();
  for (const operation of [deeds[0].operation, '0'.repeat(32), '1', '999999999']) {
    refused(await post(alice, ROUTES.undo, { operation }), 404, 'not_found');
  }
  for (const body of [
    {},
    { operation: 'x' },
    { operation: '0' },
    { device: 'd' },
    { device: 'd', since: 'now' },
    { operation: '1', device: 'd' },
  ]) {
    refused(await post(alice, ROUTES.undo, body), 400, 'request_invalid');
  }
  const { steps } = ok(await post(alice, ROUTES.undo, { device: 'no-such-device', since: '2020-01-01T00:00:00Z' })).json();
  assert.deepEqual(steps, []);
});
