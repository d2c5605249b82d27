import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ErrorCode } from '../Models/errors.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { sha256 } from '../Storage/verified_chunk.ts';
import { type FormPart, formOf, uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let bob: User;
const store: { full: boolean; waiting: Promise<void> | null; reading: Promise<void> | null } = {
  full: false,
  waiting: null,
  reading: null,
};
before(async () => {
  server = await openServer({
    wrapChunks: (chunks) => ({
      copies: chunks.copies,
      append: (batch) =>
        store.full ? Promise.reject(new AppError('storage_full', 'no space left in /secret/place')) : chunks.append(batch),
      sync: () => chunks.sync(),
      read: async (...given) => {
        await store.reading;
        return chunks.read(...given);
      },
      close: () => chunks.close(),
    }),
  });
  [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
});
after(() => server[Symbol.asyncDispose]());

const get = (user: User, route: string, path: string) =>
  server.ask(user, { method: 'GET', url: `${route}?${new URLSearchParams({ path })}` });
const post = (user: User, url: string, body: object) => server.ask(user, { method: 'POST', url, payload: body });
const form = (parts: readonly FormPart[]) => {
  const { headers, payload } = formOf(parts);
  return server.ask(alice, { method: 'POST', url: ROUTES.files, headers, payload });
};
const file = (value: string | Buffer = 'content'): FormPart => ({ name: 'file', value, fileName: 'f' });
const field = (name: string, value: string): FormPart => ({ name, value });

function assertRefused(answer: Answer, code: ErrorCode, what: string): void {
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, `${what}: ${answer.bytes}`);
  const problem = answer.json();
  assert.equal(problem.code, code, `${what}: ${answer.bytes}`);
  assert.equal(problem.status, answer.status);
  assert.equal(problem.requestId, answer.headers['request-id']);
}

async function treeOf(user: User): Promise<string[]> {
  const { entries } = (await server.ask(user, { method: 'GET', url: ROUTES.list })).json();
  return entries.map((entry: { path: string; version: number }) => `${entry.path} ${entry.version}`);
}

const BAD_NAMES: readonly [what: string, path: string, code: ErrorCode][] = [
  ['an empty component', '/a//b', 'name_invalid'],
  ['a dot', '/a/./b', 'name_invalid'],
  ['a path that climbs', '/../etc/passwd', 'name_invalid'],
  ['a path that climbs from within', '/a/../../b', 'name_invalid'],
  ['dots at the end', '/a/..', 'name_invalid'],
  ['a name of 256 bytes', `/${'n'.repeat(256)}`, 'name_invalid'],
  ['a name of 256 bytes in fewer characters', `/${'é'.repeat(128)}`, 'name_invalid'],
  ['NUL', '/a\0b', 'name_invalid'],
  ['a line feed', '/a\nb', 'name_invalid'],
  ['an escape', '/a\x1b[31mb', 'name_invalid'],
  ['DEL', '/a\x7f', 'name_invalid'],
  ['a C1 control', '/a\u0085', 'name_invalid'],
  ['no slash at the front', 'a/b', 'path_invalid'],
  ['a path over 4096 bytes', `/${'abcdefg/'.repeat(512)}x`, 'path_invalid'],
  ['129 levels', '/a'.repeat(129), 'path_invalid'],
  ['nothing', '', 'path_invalid'],
];

test('a bad name is refused by every route that makes something, and nothing is made', async () => {
  const before = await treeOf(alice);
  await post(alice, ROUTES.folders, { path: '/from', existingOk: true });
  const made = await treeOf(alice);
  assert.equal(made.length, before.length + 1);
  const names = [
    ...BAD_NAMES,
    ['a lone surrogate', '/a\ud800b', 'name_invalid'] as const, // no query can hold it
    ['10,000 levels', '/a'.repeat(10_000), 'path_invalid'] as const, // nor this a form
  ];
  for (const [what, path, code] of names) {
    assertRefused(await post(alice, ROUTES.folders, { path }), code, `folder: ${what}`);
    assertRefused(await post(alice, ROUTES.move, { from: '/from', to: path }), code, `move: ${what}`);
    assertRefused(await post(alice, ROUTES.copy, { from: '/from', to: path }), code, `copy: ${what}`);
    assertRefused(await post(alice, ROUTES.invitations, { path, user: 'bob' }), code, `invite: ${what}`);
  }
  for (const [what, path, code] of BAD_NAMES) {
    assertRefused(await server.ask(alice, uploadOf(path, 'x')), code, `upload: ${what}`);
    assertRefused(await get(alice, ROUTES.files, path), code, `download: ${what}`);
    assertRefused(await get(alice, ROUTES.list, path), code, `list: ${what}`);
    const url = `${ROUTES.entry}?${new URLSearchParams({ path })}`;
    assertRefused(await server.ask(alice, { method: 'DELETE', url }), code, `delete: ${what}`);
  }
  assert.deepEqual(await treeOf(alice), made);
});

test('a path that is not valid UTF-8 is refused, not taken for another one', async () => {
  for (const encoded of ['%2Fa%FF', '%2F%ED%A0%80', '%2Fa%', '%2F%C0%AE%C0%AE']) {
    assertRefused(await server.ask(alice, { method: 'GET', url: `${ROUTES.entry}?path=${encoded}` }), 'request_invalid', encoded);
  }
});

test('two names that fold to one cannot live side by side', async () => {
  assert.equal((await server.ask(alice, uploadOf('/fold/Straße.txt', 'one'))).status, 200);
  const refused = await server.ask(alice, uploadOf('/fold/STRASSE.txt', 'two'));
  assertRefused(refused, 'name_collides', 'upload');
  assert.equal(refused.status, 409);
  assertRefused(await post(alice, ROUTES.folders, { path: '/FOLD' }), 'name_collides', 'folder');
  assert.equal((await get(alice, ROUTES.files, '/fold/Straße.txt')).bytes.toString(), 'one');
});

test('what belongs to others is as if it did not exist', async () => {
  await server.ask(alice, uploadOf('/private/diary.txt', 'secret'));
  const missing = await get(bob, ROUTES.entry, '/private/nothing');
  const foreign = await get(bob, ROUTES.entry, '/private/diary.txt');
  const plain = ({ requestId, ...rest }: Record<string, unknown>) => rest;
  assert.deepEqual(plain(foreign.json()), plain(missing.json()));
  for (const route of [ROUTES.entry, ROUTES.files, ROUTES.preview, ROUTES.list, ROUTES.members]) {
    assertRefused(await get(bob, route, '/private/diary.txt'), 'not_found', route);
  }
  for (const [route, body] of [
    [ROUTES.move, { from: '/private/diary.txt', to: '/mine' }],
    [ROUTES.copy, { from: '/private/diary.txt', to: '/mine' }],
    [ROUTES.invitations, { path: '/private', user: 'alice' }],
    [ROUTES.leave, { path: '/private' }],
  ] as const) {
    assertRefused(await post(bob, route, body), 'not_found', route);
  }
});

test('a form that is not what it should be is refused, and no file appears', async () => {
  const before = await treeOf(alice);
  const path = field('path', '/form.txt');
  const many = Array.from({ length: LIMITS.multipartFieldsMax + 1 }, (_, i) => field(`f${i}`, 'x'));
  const cases: [string, readonly FormPart[], ErrorCode][] = [
    ['without a file', [path], 'request_invalid'],
    ['without anything', [], 'request_invalid'],
    ['without a path', [file()], 'request_invalid'],
    ['with two files', [path, file(), file()], 'too_large'],
    ['with too many fields', [path, ...many, file()], 'too_large'],
    ['with too many fields behind the file', [path, file(), ...many], 'too_large'],
    ['with an unknown field', [path, field('owner', 'bob'), file()], 'request_invalid'],
    ['with a field twice', [path, path, file()], 'request_invalid'],
    ['with a field that is too long', [path, field('mtime', 'x'.repeat(LIMITS.multipartFieldBytesMax + 1)), file()], 'too_large'],
    ['with a field named like a prototype', [path, field('__proto__', 'x'), file()], 'request_invalid'],
    ['with a path that is JSON', [{ name: 'path', value: '{"a":1}', type: 'application/json' }, file()], 'request_invalid'],
    ['with a time that is none', [path, field('mtime', 'yesterday'), file()], 'request_invalid'],
    ['with a base that is none', [path, field('base', '-1'), file()], 'request_invalid'],
    ['with a length that is too long', [path, field('size', '8'), file()], 'length_mismatch'],
    ['with a length that is too short', [path, file(), field('size', '6')], 'length_mismatch'],
    ['with a wrong digest', [path, field('digest', '0'.repeat(64)), file()], 'digest_mismatch'],
    ['onto a folder', [field('path', '/'), file()], 'not_a_file'],
  ];
  for (const [what, parts, code] of cases) assertRefused(await form(parts), code, what);
  assert.deepEqual(await treeOf(alice), before);
});

test('a form that ends before its last boundary is an interrupted upload', async () => {
  const before = await treeOf(alice);
  const whole = uploadOf('/cut.txt', 'x'.repeat(10_000));
  for (const bytes of [1, 60, 200, 5000, whole.payload.length - 3]) {
    const answer = await server.ask(alice, { ...whole, payload: whole.payload.subarray(0, bytes) });
    assertRefused(answer, 'upload_interrupted', `${bytes} bytes`);
  }
  assert.deepEqual(await treeOf(alice), before);
});

test('a malformed form is refused', async () => {
  const type = 'multipart/form-data';
  for (const contentType of [type, `${type}; boundary=`, `${type}; boundary="`]) {
    const answer = await server.ask(alice, { method: 'POST', url: ROUTES.files, headers: { 'content-type': contentType }, payload: 'x' });
    assert.ok(answer.status >= 400 && answer.status < 500, `${contentType}: ${answer.bytes}`);
  }
});

test('a full disk is said to be one, in few words, and leaves nothing behind', async () => {
  const before = await treeOf(alice);
  store.full = true;
  const answer = await server.ask(alice, uploadOf('/full.bin', Buffer.alloc(2_000_000, 1)));
  store.full = false;
  assertRefused(answer, 'storage_full', 'upload');
  assert.equal(answer.status, 507);
  assert.deepEqual(Object.keys(answer.json()).sort(), ['code', 'requestId', 'status', 'title', 'type']);
  assert.ok(!answer.bytes.includes('secret'));
  assert.deepEqual(await treeOf(alice), before);
  assert.equal((await server.ask(alice, uploadOf('/full.bin', 'now'))).status, 200);
});

test('more uploads at once than there may be are refused for now, and no user has more than half of them', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  store.waiting = promise;
  const others = await Promise.all(['uli', 'vera'].map((name) => server.addUser(name)));
  const half = { length: LIMITS.uploadsMax / 2 };
  const begin = (user: User) => Array.from(half, (_, i) => server.ask(user, uploadOf(`/busy/${i}`, 'x')));
  const running = begin(alice);
  assertRefused(await server.ask(alice, uploadOf('/busy/more', 'x')), 'too_many_requests', 'above the half');
  running.push(...begin(others[0] as User));
  const refused = await server.ask(others[1] as User, uploadOf('/busy/more', 'x'));
  store.waiting = null;
  resolve();
  assertRefused(refused, 'busy', 'one more');
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
  for (const answer of await Promise.all(running)) assert.equal(answer.status, 200);
  assert.equal((await server.ask(alice, uploadOf('/busy/more', 'x'))).status, 200);
});

test('more pulls at once than there may be are refused for now, and no user has more than half of them', async () => {
  const content = Buffer.from('what is pulled again and again');
  const pullers = await Promise.all(['pia', 'rolf', 'sue'].map((name) => server.addUser(name)));
  const pull = (user: User) =>
    server.ask(user, {
      ...{ method: 'POST', url: ROUTES.pull, payload: sha256(content) },
      headers: { 'content-type': 'application/octet-stream' },
    });
  for (const user of pullers) assert.equal((await server.ask(user, uploadOf('/pulled', content))).status, 200);
  const { promise, resolve } = Promise.withResolvers<void>();
  store.reading = promise;
  const running: ReturnType<typeof pull>[] = [];
  const refusals = [];
  for (const user of pullers) {
    for (let n = 0; n < LIMITS.pullsMax / 2 && user !== pullers[2]; n += 1) running.push(pull(user));
    refusals.push(await pull(user));
  }
  store.reading = null;
  resolve();
  assert.deepEqual(
    refusals.map(({ status }) => status),
    [429, 429, 503],
  );
  for (const answer of await Promise.all(running)) assert.equal(answer.status, 200);
  assert.equal((await pull(pullers[2] as User)).status, 200);
});

test('JSON that is malformed, too long or meant to poison is refused', async () => {
  const deep = `{"path":${'['.repeat(30_000)}`;
  const cases: [string, string, ErrorCode][] = [
    ['cut off', '{"path":"/a"', 'request_invalid'],
    ['nothing', '', 'request_invalid'],
    ['another type', '[1]', 'request_invalid'],
    ['a number for a path', '{"path":1}', 'request_invalid'],
    ['nested without end', deep, 'request_invalid'],
    ['__proto__', '{"path":"/a","__proto__":{"existingOk":true}}', 'request_invalid'],
    ['constructor', '{"path":"/a","constructor":{"prototype":{}}}', 'request_invalid'],
    ['too long', JSON.stringify({ path: `/${'a'.repeat(LIMITS.jsonBodyBytesMax)}` }), 'too_large'],
  ];
  for (const [what, payload, code] of cases) {
    const answer = await server.ask(alice, {
      method: 'POST',
      url: ROUTES.folders,
      headers: { 'content-type': 'application/json' },
      payload,
    });
    assertRefused(answer, code, what);
  }
});

test('a content type that is not exactly the right one is refused', async () => {
  const payload = JSON.stringify({ path: '/typed' });
  const bad = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json ,text/plain',
    'application/json\t; a',
    'application/json; charset=utf-16',
    'application/vnd.driftless.frames',
    'multipart/form-data; boundary=x',
    'json',
    '',
  ];
  for (const type of bad) {
    const answer = await server.ask(alice, { method: 'POST', url: ROUTES.folders, headers: { 'content-type': type }, payload });
    assertRefused(answer, 'content_type_unsupported', type);
    assert.equal(answer.status, 415);
  }
  const gzip = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  assertRefused(
    await server.ask(alice, { method: 'POST', url: ROUTES.folders, headers: gzip, payload }),
    'content_type_unsupported',
    'gzip',
  );
  const json = { 'content-type': 'application/json' };
  for (const route of [ROUTES.files, ROUTES.push, ROUTES.have, ROUTES.pull]) {
    assertRefused(await server.ask(alice, { method: 'POST', url: route, headers: json, payload }), 'content_type_unsupported', route);
  }
  const spelled = { 'content-type': 'Application/JSON; Charset=UTF-8' };
  assert.equal((await server.ask(alice, { method: 'POST', url: ROUTES.folders, headers: spelled, payload })).status, 200);
});

test('a query that is not understood is refused', async () => {
  for (const query of [
    'limit=0',
    'limit=5001',
    'limit=x',
    'sort=owner',
    'order=up',
    'path=/&path=/b',
    'search=',
    `search=${'x'.repeat(256)}`,
  ]) {
    const answer = await server.ask(alice, { method: 'GET', url: `${ROUTES.list}?${query}` });
    assert.ok(['request_invalid', 'path_invalid'].includes(answer.json().code), query);
  }
  assertRefused(await server.ask(alice, { method: 'GET', url: `${ROUTES.list}?after=nonsense` }), 'cursor_invalid', 'after');
  assertRefused(await server.ask(alice, { method: 'POST', url: `${ROUTES.invitations}/xyz/accept` }), 'request_invalid', 'invitation id');
});

test('what is wrong with a field is said in words for people', async () => {
  const detail = async (answer: Promise<{ json(): { detail?: string } }>): Promise<string | undefined> => (await answer).json().detail;
  assert.equal(await detail(get(alice, ROUTES.list, 'a')), 'path: must start with "/"');
  assert.equal(await detail(post(alice, ROUTES.folders, { path: 'a' })), 'path: must start with "/"');
  const id = 'id: must be 32 hexadecimal digits (0-9, a-f)';
  assert.equal(await detail(server.ask(alice, { method: 'POST', url: `${ROUTES.invitations}/xyz/accept` })), id);
  assert.equal(await detail(server.ask(alice, uploadOf('a', 'x'))), 'path: must start with "/"');
});

test('the longest path there can be is found, however it is encoded', async () => {
  const name = 'é'.repeat(127);
  const path = `/${Array.from({ length: 15 }, () => name).join('/')}`;
  assert.equal((await post(alice, ROUTES.folders, { path })).status, 200);
  assert.equal((await get(alice, ROUTES.entry, path)).json().path, path);
});

test('a route that does not exist and a method that a route does not take are told apart', async () => {
  const unknown = [
    '/',
    '/v1',
    '/v1/nothing',
    '/v1/files/a.txt',
    '/v1/LIST',
    '//v1/list',
    '/v1/list/',
    '/v1/%6cist/..',
    `/${'x'.repeat(3000)}`,
  ];
  for (const url of unknown) assertRefused(await server.ask(alice, { method: 'GET', url }), 'not_found', url);
  assertRefused(await server.ask(alice, { method: 'GET', url: '/v1/%zz' }), 'request_invalid', 'a URL that cannot be decoded');
  const answer = await server.ask(alice, { method: 'PUT', url: ROUTES.files });
  assertRefused(answer, 'method_unknown', 'PUT');
  assert.deepEqual([answer.status, answer.headers.allow], [405, 'POST, GET, HEAD']);
  const body = await server.ask(alice, { method: 'GET', url: ROUTES.list, headers: { 'content-type': 'application/json' }, payload: '{}' });
  assertRefused(body, 'request_invalid', 'a GET with a body');
});

test('a path that begins at a node is for streams only', async () => {
  const who = { userId: alice.id, userName: alice.name, deviceId: alice.sessionId };
  const [made] = await server.metadata.commit(
    who,
    { id: Buffer.alloc(16, 3), firstOperation: 0, resumed: false },
    [],
    [{ kind: 'mkdir', path: '/anchored/x', existingOk: true, mode: null, mtimeUs: null }],
  );
  assert.ok(made?.status === 'done');
  const path = `@${made.nodeId}`;
  for (const route of [ROUTES.entry, ROUTES.list, ROUTES.files, ROUTES.preview, ROUTES.members]) {
    assertRefused(await get(alice, route, path), 'path_invalid', route);
  }
  for (const body of [
    { from: path, to: '/a' },
    { from: '/anchored', to: `${path}/b` },
  ]) {
    assertRefused(await post(alice, ROUTES.move, body), 'path_invalid', JSON.stringify(body));
    assertRefused(await post(alice, ROUTES.copy, body), 'path_invalid', JSON.stringify(body));
  }
  assertRefused(await post(alice, ROUTES.folders, { path: `${path}/y` }), 'path_invalid', 'a folder');
  assertRefused(await post(alice, ROUTES.leave, { path }), 'path_invalid', 'leaving');
  assertRefused(await server.ask(alice, uploadOf(`${path}/f`, 'x')), 'path_invalid', 'an upload');
  assertRefused(
    await server.ask(alice, { method: 'DELETE', url: `${ROUTES.entry}?path=${encodeURIComponent(path)}` }),
    'path_invalid',
    'delete',
  );
});

test('a file where a folder is meant, and the other way, are refused by name', async () => {
  await server.ask(alice, uploadOf('/kinds/file', 'x'));
  assertRefused(await get(alice, ROUTES.files, '/kinds'), 'not_a_file', 'download of a folder');
  assertRefused(await get(alice, ROUTES.preview, '/kinds'), 'not_a_file', 'preview of a folder');
  assertRefused(await get(alice, ROUTES.list, '/kinds/file'), 'not_a_folder', 'listing of a file');
  assertRefused(await server.ask(alice, uploadOf('/kinds/file/below', 'x')), 'not_a_folder', 'upload below a file');
  assertRefused(await post(alice, ROUTES.move, { from: '/kinds', to: '/kinds/in' }), 'folder_into_itself', 'move into itself');
  assertRefused(await post(alice, ROUTES.move, { from: '/nothing', to: '/x' }), 'not_found', 'move of nothing');
});
