import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, type TestContext, test } from 'node:test';
import { contentId } from '../Models/content_id.ts';
import { type ArrivingFile, parseEvent } from '../Models/events.ts';
import { FRAME, FRAME_TYPE, type Frame, FrameParser, FrameWriter, joinBytes, payloadOf } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import { readError, readResult, writeArriving, writeOperation } from '../Models/operation_frames.ts';
import { ROUTES } from '../Models/routes.ts';
import { sha256, verifyContent } from '../Storage/verified_chunk.ts';
import { Arrival, Arrivals } from './arrivals.ts';
import { listen } from './listen.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let base: string;
before(async () => {
  server = await openServer();
  base = await listen(server.app, { host: '127.0.0.1', port: 0 });
});
after(() => server[Symbol.asyncDispose]());

const chunkFrame = (content: Uint8Array): Uint8Array => joinBytes(verifyContent(content, null).frame);
const END = new FrameWriter(8).begin(FRAME.end).finish().take();
const LONG = { path: '/long', size: LIMITS.arrivingBytesMin };

function putFrame(number: number, path: string, contents: readonly Uint8Array[]): Uint8Array {
  const chunks = contents.map((content) => ({ digest: sha256(content), length: content.length }));
  const size = contents.reduce((sum, { length }) => sum + length, 0);
  const writer = new FrameWriter(1024);
  writeOperation(writer, number, {
    ...{ kind: 'put', path, size, mtimeUs: 1, mode: 0o644, base: 'absent', chunks },
    digest: contentId(chunks, sha256),
  });
  return writer.take();
}

/** What a device of this user is told. */
async function listener(t: TestContext, user: User): Promise<{ next(): Promise<ArrivingFile>; readonly told: ArrivingFile[] }> {
  const socket = new WebSocket(base.replace('http', 'ws') + ROUTES.events, { headers: { authorization: `Bearer ${user.ticket}` } });
  t.after(() => socket.close());
  const told: ArrivingFile[] = [];
  let taken = 0;
  const more = new EventTarget();
  socket.addEventListener('message', ({ data }) => {
    const event = parseEvent(data);
    if (event?.type === 'arriving') told.push(event);
    more.dispatchEvent(new Event('more'));
  });
  await once(more, 'more');
  const next = async (): Promise<ArrivingFile> => {
    while (told.length <= taken) await once(more, 'more', { signal: AbortSignal.timeout(30_000) });
    taken += 1;
    return told[taken - 1] as ArrivingFile;
  };
  return { next, told };
}

type Pushing = ClientRequest & { readonly response: Promise<IncomingMessage> };

/** A push whose body is written as the test goes on. */
function beginPush(t: TestContext, user: User): Pushing {
  const headers = { authorization: `Bearer ${user.ticket}`, 'content-type': FRAME_TYPE };
  const request = httpRequest(base + ROUTES.push, { method: 'POST', agent: false, headers });
  t.after(() => request.destroy());
  const response = once(request, 'response').then(([one]: IncomingMessage[]) => one as IncomingMessage);
  response.catch(Boolean);
  return Object.assign(request, { response });
}

async function answerTo({ response }: Pushing): Promise<Frame[]> {
  return framesIn(await (await response).toArray());
}

function framesIn(pieces: readonly Uint8Array[]): Frame[] {
  const frames: Frame[] = [];
  new FrameParser().push(joinBytes(pieces), (frame) => frames.push(frame));
  return frames;
}

/** Whether the result of this operation is among what came. */
function answers(came: Uint8Array, number: number): boolean {
  return framesIn([came]).some((frame) => frame.type === FRAME.result && readResult(payloadOf(frame)).number === number);
}

type Followed = { readonly response: IncomingMessage; readonly first: Promise<unknown>; readonly whole: Promise<Buffer> };

async function follow(t: TestContext, user: User | null, id: string): Promise<Followed> {
  const headers = user === null ? {} : { authorization: `Bearer ${user.ticket}` };
  const request = httpRequest(`${base}${ROUTES.arriving}?id=${id}`, { agent: false, headers }).end();
  t.after(() => request.destroy());
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  const first = new Promise((resolve) => response.once('data', resolve));
  response.on('data', (piece: Buffer) => pieces.push(piece));
  const whole = once(response, 'end').then(() => Buffer.concat(pieces));
  whole.catch(Boolean);
  return { response, first, whole };
}

async function codeOf({ whole }: Followed): Promise<string> {
  return JSON.parse((await whole).toString()).code;
}

test('what comes of a long file is there for the user who sends it, and for nobody else', async (t) => {
  const alice = await server.addUser('alice');
  const bob = await server.addUser('bob');
  const device = await listener(t, alice);
  const stranger = await listener(t, bob);
  const contents = [randomBytes(300_000), randomBytes(400_000)] as const;
  const push = beginPush(t, alice);
  push.write(writeArriving(LONG));
  push.write(chunkFrame(contents[0]));
  const { id, ...file } = await device.next();
  assert.deepEqual(file, { type: 'arriving', ...LONG });
  const followed = await follow(t, alice, id);
  await followed.first; // before the rest is sent
  assert.equal(await codeOf(await follow(t, bob, id)), 'not_found');
  assert.equal(await codeOf(await follow(t, bob, randomBytes(16).toString('hex'))), 'not_found');
  assert.equal(await codeOf(await follow(t, null, id)), 'ticket_missing');
  assert.equal(await codeOf(await follow(t, alice, `${id}0`)), 'request_invalid');
  push.end(joinBytes([chunkFrame(contents[1]), putFrame(0, '/long', contents), END]));
  await answerTo(push);
  assert.ok((await followed.whole).equals(Buffer.concat([...contents.map(chunkFrame), END])));
  assert.deepEqual(stranger.told, []);
  assert.equal(await codeOf(await follow(t, alice, id)), 'not_found');
});

test('a session that ends while it follows gets no chunk more', async (t) => {
  const carol = await server.addUser('carol');
  const sessionId = randomBytes(16).toString('hex');
  await server.accounts.openSession({ id: sessionId, userId: carol.id, deviceId: '3'.repeat(32), deviceName: 'b', atMs: Date.now() });
  const other: User = { ...carol, sessionId, ticket: await server.ticketFor({ ...carol, sessionId }) };
  const device = await listener(t, carol);
  const push = beginPush(t, carol);
  push.write(joinBytes([writeArriving(LONG), chunkFrame(randomBytes(300_000))]));
  const { id } = await device.next();
  const followed = await follow(t, other, id);
  await followed.first;
  await server.accounts.endSession(sessionId, Date.now());
  await server.revocations.poll();
  const secret = randomBytes(400_000);
  push.end(joinBytes([chunkFrame(secret), END]));
  await answerTo(push);
  const came = await followed.whole;
  assert.ok(!came.includes(secret.subarray(0, 64)));
  const [last] = framesIn([came.subarray(came.lastIndexOf(FRAME.error))]).slice(-1);
  assert.equal(last === undefined ? null : readError(payloadOf(last)).code, 'ticket_revoked');
});

test('a push that ends, or gives a file up, is followed no longer', async (t) => {
  const dora = await server.addUser('dora');
  const device = await listener(t, dora);
  const push = beginPush(t, dora);
  push.write(joinBytes([writeArriving(LONG), chunkFrame(randomBytes(300_000))]));
  const first = await follow(t, dora, (await device.next()).id);
  await first.first;
  push.write(joinBytes([writeArriving({ ...LONG, path: '/next' }), chunkFrame(randomBytes(300_000))]));
  await first.whole;
  const second = await follow(t, dora, (await device.next()).id);
  await second.first;
  push.destroy();
  await second.whole;
});

test('each of many long files in one push is told', async (t) => {
  const erna = await server.addUser('erna');
  const device = await listener(t, erna);
  const push = beginPush(t, erna);
  push.flushHeaders();
  const response = await push.response;
  const together = LIMITS.arrivalsMax / 2;
  for (let i = 0; i < 3 * together; i += 1) {
    const content = randomBytes(64);
    push.write(joinBytes([writeArriving({ ...LONG, path: `/${i}` }), chunkFrame(content), putFrame(i, `/${i}`, [content])]));
    assert.equal((await device.next()).path, `/${i}`);
    for (let came = Buffer.alloc(0); i % together === together - 1 && !answers(came, i); ) {
      await once(response, 'readable');
      came = Buffer.concat([came, response.read() ?? came]);
    }
  }
});

test('of one user so many follow at once and no more, and who is gone counts no longer', async (t) => {
  const fred = await server.addUser('fred');
  const device = await listener(t, fred);
  const push = beginPush(t, fred);
  push.write(joinBytes([writeArriving(LONG), chunkFrame(randomBytes(300_000))]));
  const { id } = await device.next();
  const open: IncomingMessage[] = [];
  for (let i = 0; i < LIMITS.followersMax / 2; i += 1) {
    const followed = await follow(t, fred, id);
    await followed.first;
    open.push(followed.response);
  }
  assert.equal(await codeOf(await follow(t, fred, id)), 'too_many_requests');
  open[0]?.destroy(); // while it waits for the next chunk
  for (;;) {
    const followed = await follow(t, fred, id);
    if (followed.response.statusCode === 200) break;
    assert.equal(await codeOf(followed), 'too_many_requests');
  }
});

test('an announcement that is none ends the push', async (t) => {
  const gina = await server.addUser('gina');
  const device = await listener(t, gina);
  for (const announced of [
    { path: '/zero', size: 0 },
    { path: '/negative', size: -1 },
    { path: '/half', size: 0.5 },
    { path: '/nothing', size: Number.NaN },
    { path: '/endless', size: LIMITS.fileBytesMax + 1 },
    { path: `/${'n'.repeat(LIMITS.pathBytesMax)}`, size: 1 },
  ]) {
    const push = beginPush(t, gina);
    push.end(joinBytes([writeArriving(announced), END]));
    const frames = await answerTo(push);
    const error = frames.find(({ type }) => type === FRAME.error);
    assert.match(error === undefined ? '' : readError(payloadOf(error)).code, /^(frame|path)_invalid$/, announced.path.slice(0, 20));
  }
  assert.deepEqual(device.told, []);
});

test('of a file of very many chunks only so many places are kept', async () => {
  let ended = 0;
  const arrival = new Arrival('someone', () => {
    ended += 1;
  });
  const location = { pack: 'p', offset: 0, length: 1 };
  for (let i = 0; i < LIMITS.arrivalChunksMax + 5; i += 1) arrival.add(location);
  assert.equal(ended, 1);
  let frames = 0;
  for await (const _ of arrival.frames({ read: async () => Buffer.alloc(1) }, new AbortController().signal)) frames += 1;
  assert.equal(frames, LIMITS.arrivalChunksMax);
});

test('no more than so many are open at once, and half of them of one user', () => {
  const arrivals = new Arrivals();
  const half = { length: LIMITS.arrivalsMax / 2 };
  const open = Array.from(half, () => arrivals.begin('someone', LONG));
  assert.equal(arrivals.begin('someone', LONG), null);
  for (const _ of Array.from(half)) assert.notEqual(arrivals.begin('another', LONG), null);
  assert.equal(arrivals.begin('third', LONG), null);
  open[0]?.arrival.end();
  assert.notEqual(arrivals.begin('third', LONG), null);
});
