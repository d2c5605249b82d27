import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CHUNK_FRAME_HEADER_BYTES, ENCODING } from '../../Models/chunk_frames.ts';
import { contentId } from '../../Models/content_id.ts';
import { writeDelta } from '../../Models/delta.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FRAME_TYPE, type Frame, FrameParser, FrameWriter, joinBytes, PayloadReader, payloadOf } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import { readManifestRuns } from '../../Models/manifest_runs.ts';
import { type OperationFrame, readError, readResult, writeOperation } from '../../Models/operation_frames.ts';
import type { OperationResult } from '../../Models/operations.ts';
import { ROUTES } from '../../Models/routes.ts';
import { readFeedEnd, readFolder, readManifest, readNodes, readPaths } from '../../Models/tree_frames.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import { sha256, verifyContent } from '../../Storage/verified_chunk.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';

let server: ServerFixture;
let base: string;
let alice: User;
let bob: User;
/** Makes the chunk store fail when set. */
let failure: AppError | null = null;

before(async () => {
  server = await openServer({
    wrapChunks: (chunks): ChunkStore => ({
      copies: chunks.copies,
      append: (all, durable) => (failure === null ? chunks.append(all, durable) : Promise.reject(failure)),
      sync: () => (failure === null ? chunks.sync() : Promise.reject(failure)),
      read: (range) => chunks.read(range),
      close: () => chunks.close(),
    }),
  });
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  base = `http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`;
  alice = await server.addUser('alice');
  bob = await server.addUser('bob');
});

after(() => server[Symbol.asyncDispose]());

async function post(user: User, route: string, type: string, body: Uint8Array | string): Promise<Response> {
  return fetch(base + route, {
    method: 'POST',
    headers: { authorization: `Bearer ${user.ticket}`, 'content-type': type },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
}

async function framesIn(answer: Response): Promise<Frame[]> {
  assert.equal(answer.status, 200, answer.status === 200 ? '' : await answer.text());
  const frames: Frame[] = [];
  const parser = new FrameParser();
  parser.push(new Uint8Array(await answer.arrayBuffer()), (frame) => frames.push(frame));
  parser.assertBoundary();
  return frames;
}

type Pushed = { results: Map<number, OperationResult>; error: AppError | null; ended: boolean };

async function push(user: User, body: Uint8Array, query = ''): Promise<Pushed> {
  const pushed: Pushed = { results: new Map(), error: null, ended: false };
  for (const frame of await framesIn(await post(user, ROUTES.push + query, FRAME_TYPE, body))) {
    if (frame.type === FRAME.result) {
      const { number, result } = readResult(payloadOf(frame));
      pushed.results.set(number, result);
    } else if (frame.type === FRAME.error) pushed.error = readError(payloadOf(frame));
    else if (frame.type === FRAME.end) pushed.ended = true;
  }
  return pushed;
}

const chunkFrame = (content: Uint8Array): Uint8Array => joinBytes(verifyContent(content, null).frame);
const END = new FrameWriter(8).begin(FRAME.end).finish().take();

function put(path: string, contents: readonly Uint8Array[], more: Partial<Extract<OperationFrame, { kind: 'put' }>> = {}): OperationFrame {
  const chunks = contents.map((content) => ({ digest: sha256(content) as Uint8Array, length: content.length }));
  const size = contents.reduce((sum, content) => sum + content.length, 0);
  return {
    kind: 'put',
    path,
    size,
    mtimeUs: 1_000_000,
    mode: 0o644,
    base: 'absent',
    digest: contentId(chunks, sha256),
    chunks,
    ...more,
  };
}

const mkdir = (path: string): OperationFrame => ({ kind: 'mkdir', path, existingOk: true, mode: null, mtimeUs: null });

function operations(all: readonly OperationFrame[], first = 0): Uint8Array {
  const writer = new FrameWriter();
  for (const [i, operation] of all.entries()) writeOperation(writer, first + i, operation);
  return writer.take();
}

const stream = (...parts: readonly Uint8Array[]): Uint8Array => joinBytes([...parts, END]);
const code = (result: OperationResult | undefined): string => (result?.status === 'refused' ? result.code : String(result?.status));

async function statOf(user: User, path: string) {
  const answer = await post(user, ROUTES.tree, 'application/json', JSON.stringify({ stat: [path] }));
  const [frame] = await framesIn(answer);
  return readFolder(payloadOf(frame as Frame)).entries[0] ?? null;
}

async function pull(user: User, contents: readonly Uint8Array[]): Promise<Frame[]> {
  return framesIn(await post(user, ROUTES.pull, 'application/octet-stream', Buffer.concat(contents.map((content) => sha256(content)))));
}

async function have(user: User, contents: readonly Uint8Array[]): Promise<number[]> {
  const answer = await post(user, ROUTES.have, 'application/octet-stream', Buffer.concat(contents.map((content) => sha256(content))));
  return [...new Uint8Array(await answer.arrayBuffer())];
}

test('what is pushed is listed and pulled; a refused operation does not hold up the others', async () => {
  const [one, two] = [randomBytes(3000), randomBytes(700_000)];
  const { results, ended } = await push(
    alice,
    stream(
      chunkFrame(one),
      operations([put('/p/one', [one]), put('/p/../up', [one])]),
      chunkFrame(two),
      operations([put('/p/both', [one, two]), mkdir('/p/one'), put('/p/empty', [])], 2),
    ),
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((number) => code(results.get(number))),
    ['done', 'name_invalid', 'done', 'not_a_folder', 'done'],
  );
  assert.ok(ended);
  const both = await statOf(alice, '/p/both');
  assert.equal(both?.size, 703_000);
  assert.equal(both?.chunkCount, 2);
  const frames = await pull(alice, [two, one]);
  assert.deepEqual(
    frames.map(({ type }) => type),
    [FRAME.chunk, FRAME.chunk, FRAME.end],
  );
  assert.ok(Buffer.from(joinBytes((frames[0] as Frame).pieces)).equals(chunkFrame(two)));
});

test('a digest gives nobody else anything: not held, missing, no signature, no put', async () => {
  const secret = randomBytes(5000);
  await push(alice, stream(chunkFrame(secret), operations([put('/secret', [secret])])));
  assert.deepEqual(await have(alice, [secret, randomBytes(10)]), [1, 0]);
  assert.deepEqual(await have(bob, [secret]), [0]);
  assert.deepEqual(
    (await pull(bob, [secret])).map(({ type }) => type),
    [FRAME.missing, FRAME.end],
  );
  const [signature] = await framesIn(await post(bob, ROUTES.signature, 'application/octet-stream', sha256(secret)));
  assert.equal(signature?.length, 0);
  assert.equal(code((await push(bob, stream(operations([put('/mine', [secret])])))).results.get(0)), 'chunk_missing');
  assert.equal(await statOf(bob, '/secret'), null);
  const delta = new FrameWriter().begin(FRAME.chunk).u8(ENCODING.delta).bytes(sha256(secret)).u32(secret.length).bytes(sha256(secret));
  delta.u8(0).u32(0).u32(secret.length).finish();
  assert.equal((await push(bob, stream(delta.take()))).error?.code, 'chunk_missing');
});

test('a pull that names bases gets patches, and only against what the caller can read', async () => {
  const [old, other] = [randomBytes(600_000), randomBytes(600_000)];
  const edited = Buffer.concat([Buffer.from('!'), old]);
  const files = [put('/patched', [edited]), put('/before', [old]), put('/other', [other])];
  await push(alice, stream(...[old, edited, other].map(chunkFrame), operations(files)));
  const pairs = (all: readonly (readonly [Buffer, Buffer])[]): Buffer =>
    Buffer.concat(all.flatMap(([content, of]) => [sha256(content), of.length === 0 ? Buffer.alloc(32) : sha256(of)]));
  const ask = async (user: User, body: Buffer): Promise<Frame[]> =>
    framesIn(await post(user, `${ROUTES.pull}?bases=1`, 'application/octet-stream', body));
  const none = Buffer.alloc(0);
  const [patch, against, raw, stranger] = await ask(
    alice,
    pairs([
      [edited, old],
      [edited, other],
      [other, none],
      [old, randomBytes(9)],
    ]),
  );
  const reader = new PayloadReader(payloadOf(patch as Frame));
  assert.deepEqual([reader.u8(), Buffer.from(reader.bytes(32)), reader.u32()], [ENCODING.patch, sha256(edited), edited.length]);
  assert.deepEqual(Buffer.from(reader.bytes(32)), sha256(old));
  assert.ok(reader.remaining < 200, `${reader.remaining} bytes for one that was put in`);
  assert.deepEqual(zstdDecompressSync(reader.bytes(reader.remaining), { dictionary: old }), edited);
  for (const [frame, content] of [
    [against, edited],
    [raw, other],
    [stranger, old],
  ] as const) {
    assert.ok(Buffer.from(joinBytes((frame as Frame).pieces)).equals(chunkFrame(content)));
  }
  await push(bob, stream(chunkFrame(edited), operations([put('/mine', [edited])])));
  const [his, secret] = await ask(
    bob,
    pairs([
      [edited, old],
      [old, edited],
    ]),
  );
  assert.ok(Buffer.from(joinBytes((his as Frame).pieces)).equals(chunkFrame(edited)), 'a base that is not his does not exist for him');
  assert.equal(secret?.type, FRAME.missing);
  assert.equal((await post(alice, `${ROUTES.pull}?bases=1`, 'application/octet-stream', sha256(old))).status, 400);
});

test('a base that looks like a dictionary of zstd is left aside', async () => {
  const old = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), randomBytes(100_000)]);
  const edited = Buffer.concat([old, Buffer.from('!')]);
  await push(alice, stream(chunkFrame(old), chunkFrame(edited), operations([put('/magic', [old]), put('/magic2', [edited])])));
  const body = Buffer.concat([sha256(edited), sha256(old)]);
  const [frame] = await framesIn(await post(alice, `${ROUTES.pull}?bases=1`, 'application/octet-stream', body));
  assert.ok(Buffer.from(joinBytes((frame as Frame).pieces)).equals(chunkFrame(edited)));
});

test('a manifest is told against an older version, and whole where that is unknown', async () => {
  const [a, b, c] = [randomBytes(600_000), randomBytes(600_000), randomBytes(600_000)];
  await push(alice, stream(...[a, b, c].map(chunkFrame), operations([put('/told', [a, b]), put('/untold', [c])])));
  const [first, stranger] = [await statOf(alice, '/told'), await statOf(alice, '/untold')];
  await push(alice, stream(operations([put('/told', [c, a, b], { base: first?.version ?? 0 })])));
  const ask = async (user: User, path: string, against: number) => {
    const body = JSON.stringify({ manifest: path, against });
    const [frame] = await framesIn(await post(user, ROUTES.tree, 'application/json', body));
    return readManifestRuns(payloadOf(frame as Frame));
  };
  const runs = await ask(alice, '/told', first?.version ?? 0);
  assert.deepEqual(
    runs?.runs.map((run) => ('first' in run ? [run.first, run.count] : run.length)),
    [c.length, [0, 2]],
  );
  for (const against of [stranger?.version ?? 0, 999_999]) {
    assert.deepEqual(
      (await ask(alice, '/told', against))?.runs.map((run) => 'digest' in run),
      [true, true, true],
    );
  }
  assert.equal(await ask(bob, '/told', first?.version ?? 0), null);
});

test('compressed and delta chunks are stored as what they stand for', async () => {
  const text = Buffer.from('all work and no play '.repeat(40_000));
  const zstd = new FrameWriter()
    .begin(FRAME.chunk)
    .u8(ENCODING.zstd)
    .bytes(sha256(text))
    .u32(text.length)
    .bytes(zstdCompressSync(text))
    .finish();
  assert.equal(code((await push(alice, stream(zstd.take(), operations([put('/text', [text])])))).results.get(0)), 'done');
  const edited = Buffer.concat([Buffer.from('!'), text]);
  const [signature] = await framesIn(await post(alice, ROUTES.signature, 'application/octet-stream', sha256(text)));
  const delta = new FrameWriter().begin(FRAME.chunk).u8(ENCODING.delta).bytes(sha256(edited)).u32(edited.length).bytes(sha256(text));
  writeDelta(delta, edited, payloadOf(signature as Frame), sha256);
  const bytes = delta.finish().take();
  assert.ok(bytes.length < 300);
  assert.equal(code((await push(alice, stream(bytes, operations([put('/text2', [edited])])))).results.get(0)), 'done');
  const [frame] = await pull(alice, [edited]);
  assert.ok(
    Buffer.from(joinBytes((frame as Frame).pieces))
      .subarray(CHUNK_FRAME_HEADER_BYTES)
      .equals(edited),
  );
});

test('a chunk that is not what it says ends the push; what was whole before it is kept', async () => {
  const good = randomBytes(2000);
  const text = Buffer.alloc(100_000, 'x');
  const zstdOf = (length: number, bytes: Uint8Array): Uint8Array =>
    new FrameWriter().begin(FRAME.chunk).u8(ENCODING.zstd).bytes(sha256(text)).u32(length).bytes(bytes).finish().take();
  const wrongDigest = Buffer.from(chunkFrame(randomBytes(500)));
  wrongDigest[10] = (wrongDigest[10] as number) ^ 1;
  const bad: [Uint8Array, string][] = [
    [wrongDigest, 'digest_mismatch'],
    [zstdOf(99_999, zstdCompressSync(text)), 'frame_invalid'], // more comes out than declared
    [zstdOf(100_001, zstdCompressSync(text)), 'length_mismatch'],
    [zstdOf(100_000, randomBytes(50)), 'frame_invalid'],
    [zstdOf(100_000, zstdCompressSync(Buffer.alloc(100_000, 'y'))), 'digest_mismatch'],
    [zstdOf(LIMITS.chunkBytesMax + 1, zstdCompressSync(text)), 'too_large'],
    [new FrameWriter().begin(FRAME.chunk).u8(9).bytes(sha256(text)).finish().take(), 'frame_invalid'],
    [new FrameWriter().begin(FRAME.chunk).u8(0).finish().take(), 'frame_invalid'],
    [new FrameWriter().begin(FRAME.result).finish().take(), 'frame_invalid'],
    [Uint8Array.of(77, 0, 0, 0, 0), 'frame_invalid'],
    [new FrameWriter().begin(FRAME.operation).u32(1).u8(99).finish().take(), 'frame_invalid'],
    [operations([put('/x', [])], 7), 'frame_invalid'], // not the next number
    [joinBytes([END, chunkFrame(good)]), 'frame_invalid'],
  ];
  for (const [i, [bytes, expected]] of bad.entries()) {
    const path = `/before-${i}`;
    const { results, error, ended } = await push(alice, stream(chunkFrame(good), operations([put(path, [good])]), bytes));
    assert.equal(error?.code, expected, String(i));
    assert.equal(ended, false);
    assert.equal(code(results.get(0)), 'done');
    assert.equal((await statOf(alice, path))?.size, good.length);
  }
});

test('a put whose chunks, size or content id do not fit is refused', async () => {
  const content = randomBytes(4000);
  const { results } = await push(
    alice,
    stream(
      chunkFrame(content),
      operations([
        put('/f1', [content], { size: 4001 }),
        put('/f2', [content], { digest: randomBytes(32) }),
        put('/f3', [content], { chunks: [{ digest: sha256(content), length: 3999 }], size: 3999 }),
        put('/f4', [randomBytes(10)]),
        put('/f5', [content], { base: 17 }),
      ]),
    ),
  );
  assert.deepEqual([...results.values()].map(code), [
    'length_mismatch',
    'digest_mismatch',
    'length_mismatch',
    'chunk_missing',
    'version_stale',
  ]);
  for (const path of ['/f1', '/f2', '/f3', '/f4', '/f5']) assert.equal(await statOf(alice, path), null);
});

test('chunks of the replaced version are told as a run, and only of that version', async () => {
  const parts = [randomBytes(600_000), randomBytes(600_001), randomBytes(600_002)];
  const first = await push(alice, stream(...parts.map(chunkFrame), operations([put('/runs', parts)])));
  const version = (first.results.get(0) as { version: number }).version;
  const added = randomBytes(100);
  const all = [parts[0], added, parts[2]] as Uint8Array[];
  const runs = [
    { first: 0, count: 1 },
    { digest: sha256(added), length: 100 },
    { first: 2, count: 1 },
  ];
  const changed = (base: number, chunks = runs): OperationFrame =>
    ({ ...put('/runs', all, { base }), chunks }) as unknown as OperationFrame;
  const second = await push(alice, stream(chunkFrame(added), operations([changed(version + 5), changed(version), changed(version)])));
  assert.deepEqual(
    [...second.results].sort(([a], [b]) => a - b).map(([, result]) => code(result)),
    ['version_stale', 'done', 'unchanged'], // the third is the second again, as after an answer that was lost
  );
  assert.equal((await statOf(alice, '/runs'))?.size, 1_200_102);
  const now = (await statOf(alice, '/runs'))?.version ?? 0;
  const beyond = { ...changed(now, [{ first: 2, count: 9 }]), digest: randomBytes(32) } as OperationFrame;
  assert.equal((await push(alice, stream(operations([beyond])))).error?.code, 'frame_invalid');
});

test('a stream that is named gives the same result for the same number, once done', async () => {
  await push(alice, stream(operations([mkdir('/once')])));
  const body = stream(
    operations([
      { kind: 'move', from: '/once', to: '/moved', base: 'any' },
      { kind: 'delete', path: '/moved', base: 'any', onlyEmpty: false },
    ]),
  );
  const query = `?stream=${randomBytes(16).toString('hex')}`;
  const first = await push(alice, body, query);
  assert.deepEqual([...first.results.values()].map(code), ['done', 'done']);
  assert.deepEqual(await push(alice, body, query), first);
  assert.deepEqual([...(await push(alice, body)).results.values()].map(code), ['not_found', 'not_found']);
});

test('a push that is cut off stores what was whole and acknowledges nothing more', async () => {
  const [whole, half] = [randomBytes(50_000), randomBytes(50_000)];
  const body = joinBytes([chunkFrame(whole), operations([put('/cut/whole', [whole])]), chunkFrame(half).subarray(0, 30_000)]);
  const answer = await push(alice, body);
  assert.equal(answer.error?.code, 'upload_interrupted');
  assert.equal((await push(alice, chunkFrame(half))).error?.code, 'upload_interrupted'); // no end frame
  await new Promise<void>((resolve) => {
    const sending = request(base + ROUTES.push, {
      method: 'POST',
      headers: { authorization: `Bearer ${alice.ticket}`, 'content-type': FRAME_TYPE },
    });
    sending.on('error', () => resolve()); // the reset that this test makes
    sending.on('response', (response) => response.resume());
    sending.write(operations([put('/cut/connection', [whole])]));
    sending.write(chunkFrame(half).subarray(0, 1000), () => setImmediate(() => sending.destroy(new Error('cut'))));
  });
  assert.equal((await statOf(alice, '/cut/whole'))?.size, 50_000);
  assert.equal(await statOf(alice, '/cut/half'), null);
});

test('a full disk ends the push with its code, and nothing of the batch is there', async () => {
  const content = randomBytes(1000);
  failure = new AppError('storage_full', 'the server has no space left');
  const { results, error } = await push(alice, stream(chunkFrame(content), operations([put('/full', [content])])));
  failure = null;
  assert.equal(error?.code, 'storage_full');
  assert.equal(results.size, 0);
  assert.equal(await statOf(alice, '/full'), null);
  assert.deepEqual(await have(alice, [content]), [0]);
});

test('a chunk that is sent again is not stored again', async () => {
  const content = randomBytes(40_000);
  await push(alice, stream(chunkFrame(content), operations([put('/dup/1', [content])])));
  const [before] = await server.metadata.locate({ userId: alice.id, userName: 'alice', deviceId: 'd' }, [sha256(content)]);
  await push(alice, stream(chunkFrame(content), chunkFrame(content), operations([put('/dup/2', [content]), put('/dup/3', [content])])));
  const [now] = await server.metadata.locate({ userId: alice.id, userName: 'alice', deviceId: 'd' }, [sha256(content)]);
  assert.deepEqual(now, before);
});

test('answers in frames carry what every answer does', async () => {
  for (const [route, type, body] of [
    [ROUTES.push, FRAME_TYPE, stream()],
    [ROUTES.pull, 'application/octet-stream', randomBytes(32)],
    [ROUTES.tree, 'application/json', JSON.stringify({ list: ['/'] })],
  ] as const) {
    const { headers } = await post(alice, route, type, body);
    for (const name of ['x-content-type-options', 'cache-control', 'request-id']) assert.ok(headers.has(name), `${route} without ${name}`);
    assert.equal(headers.get('content-type'), FRAME_TYPE);
  }
});

test('bodies that are no digests, or too many, and tree requests that ask nothing are refused', async () => {
  const problem = async (answer: Response): Promise<string> => ((await answer.json()) as { code: string }).code;
  for (const route of [ROUTES.have, ROUTES.pull, ROUTES.signature]) {
    assert.equal(await problem(await post(alice, route, 'application/octet-stream', randomBytes(33))), 'request_invalid', route);
    assert.equal(await problem(await post(alice, route, 'application/json', '{}')), 'content_type_unsupported', route);
  }
  const many = Buffer.alloc((LIMITS.signatureDigestsMax + 1) * 32);
  assert.equal(await problem(await post(alice, ROUTES.signature, 'application/octet-stream', many)), 'too_large');
  for (const body of ['{}', '{"list":[]}', '{"list":["/"],"walk":"/"}', '{"walk":7}', '[]']) {
    assert.equal(await problem(await post(alice, ROUTES.tree, 'application/json', body)), 'request_invalid', body);
  }
});

test('a tree request lists folders, paths and manifests; an error in the middle is an error frame', async () => {
  const content = [randomBytes(600_000), randomBytes(600_001)];
  await push(alice, stream(...content.map(chunkFrame), operations([put('/t/a/file', content), mkdir('/t/b')])));
  const ask = async (body: unknown): Promise<Frame[]> => framesIn(await post(alice, ROUTES.tree, 'application/json', JSON.stringify(body)));
  const listed = (await ask({ list: ['/t', '/t/none', '/t/a'] }))
    .filter(({ type }) => type === FRAME.folder)
    .map((frame) => readFolder(payloadOf(frame)));
  assert.deepEqual(
    listed.map(({ index, last, entries }) => [index, last, entries.map((entry) => entry?.name)]),
    [
      [0, true, ['a', 'b']],
      [1, true, []],
      [2, true, ['file']],
    ],
  );
  const [manifest] = await ask({ manifests: ['/t/a/file'] });
  assert.equal(payloadOf(manifest as Frame).length, 4 + 1 + 8 + 8 + 32 + 1 + 2 * 36);
  const walked = (await ask({ walk: '/t' })).filter(({ type }) => type === FRAME.paths).flatMap((frame) => readPaths(payloadOf(frame)));
  assert.deepEqual(walked, ['/t', '/t/a', '/t/b']);
  const [failed] = await ask({ walk: '/none' });
  assert.equal(failed?.type, FRAME.error);
  assert.equal(readError(payloadOf(failed as Frame)).code, 'not_found');
});

test('a folder whose entries do not fit into one frame is listed in several', async () => {
  const links = Array.from({ length: 2200 }, (_, i): OperationFrame => {
    const target = `${i}/${'x'.repeat(LIMITS.symlinkTargetBytesMax - 10)}`;
    return { kind: 'symlink', path: `/long/${i}`, target, mtimeUs: 1, base: 'absent' };
  });
  assert.equal((await push(alice, stream(operations(links)))).error, null);
  const frames = await framesIn(await post(alice, ROUTES.tree, 'application/json', JSON.stringify({ list: ['/long', '/long'] })));
  assert.equal(frames.at(-1)?.type, FRAME.end);
  const folders = frames.slice(0, -1).map((frame) => readFolder(payloadOf(frame)));
  for (const index of [0, 1]) {
    const pages = folders.filter((folder) => folder.index === index);
    assert.equal(new Set(pages.flatMap(({ entries }) => entries.map((entry) => entry?.name))).size, 2200);
    assert.deepEqual(
      pages.map(({ last }) => last),
      pages.map((_, i) => i === pages.length - 1),
    );
  }
});

test('a push that goes on after the session was ended stores nothing more', async () => {
  const carol = await server.addUser('carol');
  const headers = { authorization: `Bearer ${carol.ticket}`, 'content-type': FRAME_TYPE };
  const parser = new FrameParser();
  const frames: Frame[] = [];
  const sending = request(base + ROUTES.push, { method: 'POST', headers });
  const ended = new Promise<void>((resolve) => {
    sending.on('response', (response) => {
      response.on('data', (bytes: Buffer) => {
        const before = frames.length;
        parser.push(bytes, (frame) => frames.push(frame));
        if (before === 0 && frames[0]?.type === FRAME.result) void goOn();
      });
      response.on('end', resolve);
    });
  });
  const goOn = async (): Promise<void> => {
    await server.accounts.endSession(carol.sessionId, Date.now());
    await server.revocations.poll();
    sending.end(joinBytes([operations([put('/late', [])], 1), END]));
  };
  sending.write(operations([put('/early', [])]));
  await ended;
  assert.deepEqual(
    frames.map(({ type }) => type),
    [FRAME.result, FRAME.error],
  );
  assert.equal(readError(payloadOf(frames[1] as Frame)).code, 'ticket_revoked');
  const principal = { userId: carol.id, userName: 'carol', deviceId: 'd' };
  const [early, late] = await server.metadata.stat(principal, ['/early', '/late']);
  assert.equal(early?.kind, 'file');
  assert.equal(late, null);
});

test('more pushes than may run at once are told to come again, and no user has more than half of them', async () => {
  const begin = async (user: User) => {
    const sendings = Array.from({ length: LIMITS.pushesMax / 2 }, () => {
      const headers = { authorization: `Bearer ${user.ticket}`, 'content-type': FRAME_TYPE };
      const sending = request(base + ROUTES.push, { method: 'POST', headers });
      sending.flushHeaders();
      return sending;
    });
    await Promise.all(sendings.map(async (sending) => ((await once(sending, 'response')) as [IncomingMessage])[0].resume()));
    return sendings;
  };
  const refusal = async (user: User) => {
    const refused = await post(user, ROUTES.push, FRAME_TYPE, END);
    return [refused.status, ((await refused.json()) as { code: string }).code];
  };
  const [other, third] = [await server.addUser('dirk'), await server.addUser('elsa')];
  const open = await begin(alice);
  assert.deepEqual(await refusal(alice), [429, 'too_many_requests']);
  open.push(...(await begin(other)));
  assert.deepEqual(await refusal(third), [503, 'busy']);
  for (const sending of open) sending.end(END);
  await Promise.all(open.map((sending) => once(sending, 'close')));
  assert.ok((await push(alice, END)).ended);
});

test('operations and questions may begin at a node, and are based on versions', async () => {
  const content = randomBytes(900);
  const made = await push(alice, stream(chunkFrame(content), operations([put('/from/f', [content]), mkdir('/to')])));
  const [file, to] = [0, 1].map((number) => made.results.get(number));
  assert.ok(file?.status === 'done' && to?.status === 'done');
  const { results } = await push(
    alice,
    stream(
      operations([
        { kind: 'move', from: `@${file.nodeId}`, to: `@${to.nodeId}/g`, base: file.version - 1 },
        { kind: 'move', from: `@${file.nodeId}`, to: `@${to.nodeId}/g`, base: file.version },
        put(`@${to.nodeId}/none/h`, [content]),
        { kind: 'mkdir', path: `@${to.nodeId}`, existingOk: true, mode: 0o700, mtimeUs: 12 },
        { kind: 'delete', path: `@${to.nodeId}`, base: 'any', onlyEmpty: true },
        { kind: 'delete', path: '/from', base: 'any', onlyEmpty: true },
      ]),
    ),
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((number) => code(results.get(number))),
    ['version_stale', 'done', 'not_found', 'done', 'not_empty', 'done'],
  );
  const folder = await statOf(alice, `@${to.nodeId}`);
  assert.deepEqual([folder?.name, folder?.mode, folder?.mtimeUs], ['to', 0o700, 12]);
  assert.deepEqual((await statOf(alice, `@${to.nodeId}/g`))?.digest, (await statOf(alice, `@${file.nodeId}`))?.digest);
  assert.equal(await statOf(bob, `@${file.nodeId}`), null);
  const ask = (body: unknown): Promise<Response> => post(alice, ROUTES.tree, 'application/json', JSON.stringify(body));
  const [listed] = await framesIn(await ask({ list: [`@${to.nodeId}`] }));
  assert.deepEqual(
    readFolder(payloadOf(listed as Frame)).entries.map((entry) => entry?.name),
    ['g'],
  );
  const [manifest] = await framesIn(await ask({ manifests: [`@${file.nodeId}`] }));
  assert.equal(readManifest(payloadOf(manifest as Frame)).manifest?.size, 900);
});

test('a change that is told as runs may begin at a node', async () => {
  const parts = [randomBytes(600_000), randomBytes(700_000)];
  const made = await push(alice, stream(...parts.map(chunkFrame), operations([put('/anchored-runs', parts)])));
  const first = made.results.get(0);
  assert.ok(first?.status === 'done');
  const added = randomBytes(10);
  const whole = put(`@${first.nodeId}`, [...parts, added], { base: first.version });
  assert.ok(whole.kind === 'put');
  const runs: OperationFrame = {
    ...whole,
    chunks: [
      { first: 0, count: 2 },
      { digest: sha256(added), length: added.length },
    ],
  };
  assert.equal(code((await push(alice, stream(chunkFrame(added), operations([runs])))).results.get(0)), 'done');
  assert.equal((await statOf(alice, '/anchored-runs'))?.chunkCount, 3);
});

test('a folder is followed by what changed in it', async () => {
  const content = randomBytes(700);
  const follow = async (user: User, root: string, cursor: string | null) => {
    const frames = await framesIn(await post(user, ROUTES.tree, 'application/json', JSON.stringify({ since: { root, cursor } })));
    const parts = frames.filter(({ type }) => type === FRAME.nodes).map((frame) => readNodes(payloadOf(frame)));
    const last = frames.at(-1) as Frame;
    if (last.type === FRAME.error) return readError(payloadOf(last)).code;
    assert.deepEqual([frames.at(-2)?.type, last.type], [FRAME.cursor, FRAME.end]);
    const { rootId, cursor: next } = readFeedEnd(payloadOf(frames.at(-2) as Frame));
    return { rootId, next, present: parts.flatMap(({ present }) => present), gone: parts.flatMap(({ gone }) => gone) };
  };
  await push(alice, stream(chunkFrame(content), operations([put('/followed/a/f', [content]), mkdir('/followed/b')])));
  const all = await follow(alice, '/followed', null);
  assert.ok(typeof all === 'object');
  assert.deepEqual(
    all.present.map(({ name }) => name),
    ['followed', 'a', 'b', 'f'],
  );
  const [folder, f] = [all.present[1], all.present[3]];
  assert.ok(folder !== undefined && f !== undefined);
  assert.deepEqual([f.parentId, f.size, f.chunkCount, f.digest], [folder.nodeId, 700, 1, new Uint8Array(sha256(content))]);
  await push(
    alice,
    stream(
      operations([
        { kind: 'move', from: `@${folder.nodeId}`, to: `@${all.rootId}/b/a`, base: folder.version },
        { kind: 'delete', path: `@${f.nodeId}`, base: f.version, onlyEmpty: false },
      ]),
    ),
  );
  const news = await follow(alice, `@${all.rootId}`, all.next);
  assert.ok(typeof news === 'object');
  assert.deepEqual(
    [news.rootId, news.present.map(({ name, unlisted }) => [name, unlisted]), news.gone],
    [all.rootId, [['a', false]], [f.nodeId]],
  );
  const nothing = await follow(alice, `@${all.rootId}`, news.next);
  assert.deepEqual(nothing, { rootId: all.rootId, next: news.next, present: [], gone: [] });
  assert.equal(await follow(bob, `@${all.rootId}`, null), 'not_found');
  assert.equal(await follow(alice, '/followed', 'nonsense'), 'cursor_invalid');
});

test('a folder of many long names is told in frames that are not too long', async () => {
  const names = Array.from({ length: 2000 }, (_, i) => `${'日'.repeat(80)}${i}`);
  await push(alice, stream(operations(names.map((name) => mkdir(`/wide/${name}`)))));
  const frames = await framesIn(
    await post(alice, ROUTES.tree, 'application/json', JSON.stringify({ since: { root: '/wide', cursor: null } })),
  );
  const told = frames.filter(({ type }) => type === FRAME.nodes);
  assert.equal(told.flatMap((frame) => readNodes(payloadOf(frame)).present).length, 2001);
  assert.ok(told.every(({ length }) => length < 2 * 1024 * 1024));
});
