import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME_TYPE, joinBytes } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import type { ChunkStore } from '../Storage/chunk_store.ts';
import { verifyContent } from '../Storage/verified_chunk.ts';
import { listen } from './listen.ts';
import { uploadOf } from './testing/form.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let port: number;
let aheadMs = 0; // of the real clock
let storing: Promise<void> | null = null; // what it waits for before it stores chunks
before(async () => {
  const wrapChunks = (chunks: ChunkStore): ChunkStore => ({
    copies: chunks.copies,
    append: async (...given) => {
      await storing;
      return chunks.append(...given);
    },
    sync: () => chunks.sync(),
    read: (...given) => chunks.read(...given),
    close: () => chunks.close(),
  });
  server = await openServer({ monotonicMs: () => performance.now() + aheadMs, wrapChunks });
  alice = await server.addUser('alice');
  assert.equal((await server.ask(alice, uploadOf('/long.bin', randomBytes(24_000_000)))).status, 200);
  port = Number(new URL(await listen(server.app, { host: '127.0.0.1', port: 0 })).port);
});
const opened: Socket[] = [];
after(async () => {
  for (const socket of opened) socket.destroy();
  await server[Symbol.asyncDispose]();
});

async function send(...lines: string[]): Promise<Socket & { cut: boolean }> {
  const socket = connect(port, '127.0.0.1');
  opened.push(socket);
  await once(socket, 'connect');
  socket.write(`${[...lines, 'Host: 127.0.0.1', `Authorization: Bearer ${alice.ticket}`].join('\r\n')}\r\n\r\n`);
  const watched = Object.assign(socket, { cut: false });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    watched.cut = true;
  });
  return watched;
}
const push = (): ReturnType<typeof send> => send(`POST ${ROUTES.push} HTTP/1.1`, `Content-Type: ${FRAME_TYPE}`, 'Content-Length: 1000000');
const upload = (): ReturnType<typeof send> =>
  send(`POST ${ROUTES.files} HTTP/1.1`, 'Content-Type: multipart/form-data; boundary=b', 'Content-Length: 1000000');

/** Time passes; the server has looked at everything since. */
async function pass(ms: number): Promise<void> {
  aheadMs += ms;
  await sleep(1.3 * LIMITS.rateCheckMs);
}

/** What the server has decided is seen here a little later. */
async function until(isSo: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 30_000; !isSo(); await sleep(5)) assert.ok(performance.now() < endMs, 'it does not come');
}

test('a body that comes by the byte, and an answer that is not taken, end their connections; what goes on does not', async () => {
  const trickling = await upload();
  const flowing = await upload();
  const pushing = await push();
  const unread = await send(`GET ${ROUTES.files}?path=/long.bin HTTP/1.1`);
  unread.pause();
  const idle = await send(`GET ${ROUTES.whoami} HTTP/1.1`);
  await once(idle, 'data');
  pushing.resume();
  flowing.write(Buffer.alloc(1000));
  trickling.write('x');
  for (let half = 0; half < 2; half += 1) {
    trickling.write('x');
    flowing.write(Buffer.alloc((LIMITS.bytesPerSecondMin * LIMITS.bodyWindowMs) / 1000));
    await pass(LIMITS.bodyWindowMs / 2 + 1000);
  }
  const cut = (): Record<string, boolean> => ({
    trickling: trickling.cut,
    flowing: flowing.cut,
    push: pushing.cut,
    unread: unread.readableLength === 0 && unread.cut,
    idle: idle.cut,
  });
  await until(() => trickling.cut);
  assert.deepEqual(cut(), { trickling: true, flowing: false, push: false, unread: false, idle: false });
  flowing.destroy();
  pushing.destroy();
  const told = server.logged.length;
  await pass(LIMITS.answerWindowMs);
  await until(() => server.logged.slice(told).some((line) => line.includes('too slow') && line.includes(ROUTES.files))); // that nobody takes
  assert.equal(idle.cut, false);
});

test('a push that sends next to nothing is cut, but not while its client waits for an answer', async (t) => {
  const stored = Promise.withResolvers<void>();
  storing = stored.promise;
  t.after(() => {
    storing = null;
  });
  const [trickling, answered, waiting] = [await push(), await push(), await push()];
  for (const one of [trickling, answered, waiting]) await once(one, 'data'); // the head of the answer
  const chunk = joinBytes(verifyContent(randomBytes(100), null).frame);
  waiting.write(chunk);
  const enough = Buffer.alloc((LIMITS.bytesPerSecondMin * LIMITS.bodyWindowMs) / 1000);
  answered.write(joinBytes(verifyContent(randomBytes(2 * enough.length), null).frame).subarray(0, enough.length + 1));
  for (let half = 0; half < 2; half += 1) {
    trickling.write(chunk.subarray(half, half + 1));
    await pass(LIMITS.answerWindowMs / 2 + 1000);
  }
  await until(() => trickling.cut);
  assert.deepEqual([answered.cut, waiting.cut], [false, false]);
  stored.resolve();
  await pass(0); // it is stored, and looked at, by then or a little later
  for (let n = 0; n < 10 && !waiting.cut; n += 1) await pass(LIMITS.answerWindowMs + 1000);
  assert.equal(waiting.cut, true, 'nothing is owed to it any more');
});
