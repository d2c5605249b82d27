import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { listen } from './listen.ts';
import { uploadOf } from './testing/form.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let port: number;
let aheadMs = 0; // of the real clock
before(async () => {
  server = await openServer({ monotonicMs: () => performance.now() + aheadMs });
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
const upload = (): ReturnType<typeof send> =>
  send(`POST ${ROUTES.files} HTTP/1.1`, 'Content-Type: multipart/form-data; boundary=b', 'Content-Length: 1000000');

/** Time passes; the server has looked at everything since. */
async function pass(ms: number): Promise<void> {
  aheadMs += ms;
  await sleep(1.3 * LIMITS.rateCheckMs);
}

test('a body that comes by the byte, and an answer that is not taken, end their connections; what goes on does not', async () => {
  const trickling = await upload();
  const flowing = await upload();
  const push = await send(`POST ${ROUTES.push} HTTP/1.1`, 'Content-Type: application/vnd.driftless.frames', 'Content-Length: 1000000');
  const unread = await send(`GET ${ROUTES.files}?path=/long.bin HTTP/1.1`);
  unread.pause();
  const idle = await send(`GET ${ROUTES.whoami} HTTP/1.1`);
  await once(idle, 'data');
  push.resume();
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
    push: push.cut,
    unread: unread.readableLength === 0 && unread.cut,
    idle: idle.cut,
  });
  assert.deepEqual(cut(), { trickling: true, flowing: false, push: false, unread: false, idle: false });
  flowing.destroy();
  const told = server.logged.length;
  await pass(LIMITS.answerWindowMs);
  assert.ok(
    server.logged.slice(told).some((line) => line.includes('too slow') && line.includes(ROUTES.files)),
    'the answer that nobody takes',
  );
  assert.deepEqual([push.cut, idle.cut], [false, false]);
});
