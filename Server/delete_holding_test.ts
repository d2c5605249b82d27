import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { contentId } from '../Models/content_id.ts';
import { FRAME, FRAME_TYPE, FrameParser, FrameWriter, joinBytes, payloadOf } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import { readResult, writeOperation } from '../Models/operation_frames.ts';
import type { Operation, OperationResult } from '../Models/operations.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Principal } from '../Storage/metadata.ts';
import { sha256 } from '../Storage/verified_chunk.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let nowMs = 0;
let server: ServerFixture;
before(async () => {
  server = await openServer({ monotonicMs: () => nowMs });
});
after(() => server[Symbol.asyncDispose]());

const END = new FrameWriter(8).begin(FRAME.end).finish().take();
const EMPTY = { size: 0, mtimeUs: 1, mode: 0o644, digest: contentId([], sha256), chunks: [] };
const put = (path: string): Operation => ({ kind: 'put', path, base: 'any', ...EMPTY });
const remove = (path: string, more: Partial<Extract<Operation, { kind: 'delete' }>> = {}): Operation => ({
  kind: 'delete',
  path,
  base: 'any',
  onlyEmpty: false,
  ...more,
});
const move = (from: string, to: string): Operation => ({ kind: 'move', from, to, base: 'any' });
const numbered = (folder: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${folder}/${from + i}`);

async function push(user: User, operations: readonly Operation[], stream?: string): Promise<OperationResult[]> {
  const writer = new FrameWriter();
  for (const [number, operation] of operations.entries()) writeOperation(writer, number, operation);
  const query = stream === undefined ? '' : `?stream=${stream}`;
  const payload = Buffer.from(joinBytes([writer.take(), END]));
  const answer = await server.ask(user, { method: 'POST', url: ROUTES.push + query, headers: { 'content-type': FRAME_TYPE }, payload });
  const results: OperationResult[] = [];
  new FrameParser().push(answer.bytes, (frame) => {
    if (frame.type !== FRAME.result) return;
    const { number, result } = readResult(payloadOf(frame));
    results[number] = result;
  });
  assert.equal(results.length, operations.length, answer.bytes.toString('latin1'));
  return results;
}

const code = (result: OperationResult | undefined): string => (result?.status === 'refused' ? result.code : String(result?.status));
/** How often each outcome came. */
async function outcome(user: User, operations: readonly Operation[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const result of await push(user, operations)) counts[code(result)] = (counts[code(result)] ?? 0) + 1;
  return counts;
}

const principalOf = ({ id, name }: User): Principal => ({ userId: id, userName: name, deviceId: '2'.repeat(32) });
let users = 0;
/** A user with empty files at these paths. */
async function userWith(paths: readonly string[]): Promise<User> {
  users += 1;
  const user = await server.addUser(`user${users}`);
  const stream = { id: Buffer.alloc(16), firstOperation: 0, resumed: false };
  await server.metadata.commit(principalOf(user), stream, [], paths.map(put));
  return user;
}

const approve = (user: User, path?: string) =>
  server.ask(user, { method: 'POST', url: ROUTES.approvals, payload: path === undefined ? {} : { path } });
const onOtherDevice = async (user: User): Promise<User> => ({
  ...user,
  ticket: await server.ticketFor(user, { claims: { dev: 'f'.repeat(32) } }),
});

async function filesOf(user: User, path = '/'): Promise<number> {
  const answer = await server.ask(user, { method: 'GET', url: `${ROUTES.list}?${new URLSearchParams({ path, limit: '5000' })}` });
  return answer.json().entries.length;
}

async function share(owner: User, path: string, guest: User): Promise<void> {
  const invited = await server.ask(owner, {
    method: 'POST',
    url: ROUTES.invitations,
    payload: { path, user: guest.name, role: 'editor' },
  });
  const { id } = invited.json();
  assert.equal((await server.ask(guest, { method: 'POST', url: `${ROUTES.invitations}/${id}/accept` })).status, 200);
}

test('a hundred files are free, however few there are, and the next one is held with the numbers', async () => {
  const user = await userWith(numbered('/f', 0, 120));
  assert.deepEqual(
    await outcome(
      user,
      numbered('/f', 0, 100).map((path) => remove(path)),
    ),
    { done: 100 },
  );
  const [held] = await push(user, [remove('/f/100')]);
  assert.ok(held?.status === 'refused');
  assert.equal(held.code, 'deletes_held');
  assert.match(held.message, /101 of the 120 files/);
  assert.equal(await filesOf(user, '/f'), 20);
});

test('a quarter of the files is free, and the file behind it is held, in one stream as in many', async () => {
  for (const [files, free] of [
    [400, 100],
    [404, 101],
    [407, 101],
    [408, 102],
  ] as const) {
    const user = await userWith(numbered('/f', 0, files));
    const operations = numbered('/f', 0, files).map((path) => remove(path));
    assert.deepEqual(await outcome(user, operations), { done: free, deletes_held: files - free }, `${files} files at once`);
    assert.equal(await filesOf(user, '/f'), files - free);
    const other = await userWith(numbered('/f', 0, files));
    for (let n = 0; n < free; n += 20) await push(other, operations.slice(n, Math.min(n + 20, free)));
    assert.equal(await filesOf(other, '/f'), files - free, `${files} files, a few at a time`);
    assert.equal(code((await push(other, operations.slice(free, free + 1)))[0]), 'deletes_held');
  }
});

test('what is not a delete is done all the same, and each operation gets its own result', async () => {
  const user = await userWith(numbered('/f', 0, 150));
  const mixed = numbered('/f', 0, 150).flatMap((path, n) => [remove(path), put(`/new/${n}`)]);
  const results = await push(user, mixed);
  for (const [n, result] of results.entries()) assert.equal(code(result), n % 2 === 1 || n < 200 ? 'done' : 'deletes_held', `${n}`);
  assert.equal(await filesOf(user, '/new'), 150);
  assert.equal(await filesOf(user, '/f'), 50);
});

test('a folder counts as all that is in it, and what is counted is counted once', async () => {
  const user = await userWith([
    ...numbered('/small/a', 0, 50),
    ...numbered('/small/b', 0, 50),
    ...numbered('/large/c/d', 0, 101),
    ...numbered('/rest', 0, 50),
  ]);
  assert.equal(code((await push(user, [remove('/large')]))[0]), 'deletes_held');
  assert.equal(await filesOf(user, '/large/c/d'), 101);
  const other = await userWith([...numbered('/small/a', 0, 50), ...numbered('/small/b', 0, 50), ...numbered('/rest', 0, 50)]);
  const operations = [...numbered('/small/a', 0, 50).map((path) => remove(path)), remove('/small/b'), remove('/small')];
  assert.deepEqual(await outcome(other, operations), { done: 52 });
  assert.equal(code((await push(other, [remove('/rest/1')]))[0]), 'deletes_held');
});

test('empty folders cost nothing, but stay too once deletes are held', async () => {
  const user = await userWith(numbered('/f', 0, 110));
  const folders = numbered('/e', 0, 150);
  await push(
    user,
    folders.map((path) => ({ kind: 'mkdir', path, existingOk: false, mode: null, mtimeUs: null })),
  );
  assert.deepEqual(
    await outcome(
      user,
      folders.slice(0, 140).map((path) => remove(path, { onlyEmpty: true })),
    ),
    { done: 140 },
  );
  assert.deepEqual(
    await outcome(
      user,
      numbered('/f', 0, 101).map((path) => remove(path)),
    ),
    { done: 100, deletes_held: 1 },
  );
  assert.equal(code((await push(user, [remove('/e/149', { onlyEmpty: true })]))[0]), 'deletes_held');
  const other = await userWith(numbered('/full', 0, 150));
  assert.equal(code((await push(other, [remove('/full', { onlyEmpty: true })]))[0]), 'not_empty');
});

test('the window rolls: what was deleted ten minutes ago is forgotten, a millisecond less is not', async () => {
  for (const [laterMs, expected] of [
    [LIMITS.deleteWindowMs - 1, { done: 40, deletes_held: 20 }],
    [LIMITS.deleteWindowMs, { done: 60 }],
  ] as const) {
    const user = await userWith(numbered('/f', 0, 200));
    await push(
      user,
      numbered('/f', 0, 60).map((path) => remove(path)),
    );
    nowMs += laterMs;
    assert.deepEqual(
      await outcome(
        user,
        numbered('/f', 60, 120).map((path) => remove(path)),
      ),
      expected,
      `${laterMs} ms`,
    );
  }
});

test('held deletes stay held until they are approved, on that device and in that space alone', async () => {
  const user = await userWith([...numbered('/f', 0, 500), ...numbered('/team', 0, 300)]);
  const guest = await userWith(['/x']);
  await share(user, '/team', guest);
  const other = await onOtherDevice(user);
  const held = numbered('/f', 130, 250).map((path) => remove(path));
  for (const folder of ['/f', '/team'])
    await outcome(
      user,
      numbered(folder, 0, 130).map((path) => remove(path)),
    );
  nowMs += 6 * LIMITS.deleteWindowMs;
  assert.deepEqual(await outcome(user, held), { deletes_held: 120 });
  assert.equal((await approve(other)).status, 200);
  assert.deepEqual(await outcome(user, held), { deletes_held: 120 }, 'approved by another device');
  assert.equal((await approve(user, '/team/299')).status, 200);
  assert.deepEqual(await outcome(user, held), { deletes_held: 120 }, 'approved in another space');
  assert.deepEqual(
    await outcome(
      user,
      numbered('/team', 130, 250).map((path) => remove(path)),
    ),
    { done: 120 },
  );
  const { until } = (await approve(user)).json();
  assert.ok(Math.abs(Date.parse(until) - Date.now() - LIMITS.deleteApprovalMs) < 60_000);
  nowMs += LIMITS.deleteApprovalMs - 1;
  assert.deepEqual(await outcome(user, held), { done: 120 });
  nowMs += 1;
  const more = numbered('/f', 250, 351).map((path) => remove(path));
  assert.deepEqual(await outcome(user, more), { done: 100, deletes_held: 1 }, 'a new window');
  assert.deepEqual(await outcome(other, [remove('/team/250')]), { done: 1 }, 'a device that deleted nothing');
});

test('a move out of the space counts as a delete, a move within it does not', async () => {
  const user = await userWith([...numbered('/f/sub', 0, 150), ...numbered('/g', 0, 20), '/team/x']);
  await share(user, '/team', await userWith(['/x']));
  assert.equal(code((await push(user, [move('/f', '/moved')]))[0]), 'done');
  assert.equal(code((await push(user, [move('/moved/sub', '/team/sub')]))[0]), 'deletes_held');
  assert.equal(await filesOf(user, '/moved/sub'), 150);
  const [moved, behind] = await push(user, [move('/moved', '/again'), remove('/again')]);
  assert.deepEqual([code(moved), code(behind)], ['done', 'deletes_held'], 'looked at when the move was done');
});

test('an owner who deletes a whole shared folder is held, a member who leaves it is not', async () => {
  const owner = await userWith(numbered('/team', 0, 150));
  const guest = await userWith(['/x']);
  await share(owner, '/team', guest);
  assert.equal(code((await push(guest, [remove('/team')]))[0]), 'done');
  assert.equal(code((await push(owner, [remove('/team')]))[0]), 'deletes_held');
  assert.equal(await filesOf(owner, '/team'), 150);
});

test('a delete that is refused for another reason is not counted', async () => {
  const user = await userWith(numbered('/f', 0, 300));
  const stale = numbered('/f', 0, 100).map((path) => remove(path, { base: 999_999 }));
  for (let n = 0; n < 3; n += 1) assert.deepEqual(await outcome(user, stale), { version_stale: 100 });
  assert.deepEqual(
    await outcome(
      user,
      numbered('/f', 0, 101).map((path) => remove(path)),
    ),
    { done: 100, deletes_held: 1 },
  );
});

test('paths anchored at a node count like any others', async () => {
  const user = await userWith(numbered('/f', 0, 150));
  const [folder] = await server.metadata.stat(principalOf(user), ['/f']);
  const operations = Array.from({ length: 150 }, (_, n) => remove(`@${folder?.nodeId}/${n}`));
  assert.deepEqual(await outcome(user, operations), { done: 100, deletes_held: 50 });
  assert.equal(code((await push(user, [remove(`@${folder?.nodeId}`)]))[0]), 'deletes_held');
});

test('the same stream sent again gets its results again, also when deletes are held by then', async () => {
  const user = await userWith(numbered('/f', 0, 150));
  const operations = [...numbered('/f', 0, 120).map((path) => remove(path)), put('/new'), remove('/f/140'), put('/newer')];
  const stream = '7'.repeat(32);
  const first = await push(user, operations, stream);
  assert.deepEqual(first.slice(119).map(code), ['deletes_held', 'done', 'deletes_held', 'done']);
  assert.deepEqual(await push(user, operations, stream), first);
  assert.equal(await filesOf(user), 3, 'what stands between held deletes was done under its own number');
});

test('a delete through REST is never held and counts for nothing', async () => {
  const user = await userWith([...numbered('/f', 0, 150), ...numbered('/g', 0, 200)]);
  const url = `${ROUTES.entry}?${new URLSearchParams({ path: '/f' })}`;
  assert.equal((await server.ask(user, { method: 'DELETE', url })).status, 200);
  assert.deepEqual(
    await outcome(
      user,
      numbered('/g', 0, 101).map((path) => remove(path)),
    ),
    { done: 100, deletes_held: 1 },
  );
  const more = `${ROUTES.entry}?${new URLSearchParams({ path: '/g' })}`;
  assert.equal((await server.ask(user, { method: 'DELETE', url: more })).status, 200);
});

test('an approval for what is not there is refused', async () => {
  const user = await userWith(['/x']);
  for (const [path, expected] of [
    ['/nothing', 'not_found'],
    ['x', 'path_invalid'],
    ['/a//b', 'name_invalid'],
  ] as const) {
    assert.equal((await approve(user, path)).json().code, expected, path);
  }
  assert.equal((await approve(await server.addUser('fresh'))).json().code, 'not_found');
});

test('the user is told once that deletes are held', async () => {
  const user = await userWith(numbered('/f', 0, 120));
  const all = numbered('/f', 0, 120).map((path) => remove(path));
  const notices = async () =>
    (await server.metadata.changes(principalOf(user), { after: null, limit: 5000 })).changes.filter(({ details }) => details);
  assert.deepEqual(await outcome(user, all), { done: 100, deletes_held: 20 });
  assert.deepEqual(await outcome(user, all.slice(100)), { deletes_held: 20 });
  const told = (await notices()).map(({ kind, details }) => [kind, details]);
  assert.deepEqual(told, [['held', { device: '2'.repeat(32), deleted: 101, living: 120 }]]);
});
