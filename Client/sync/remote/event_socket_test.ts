import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventText } from '../../../Models/events.ts';
import { ManualClock } from '../testing/manual_clock.ts';
import { eventSocket } from './event_socket.ts';

/** Accepts connections and does no more by itself. */
async function openServer(t: TestContext) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** Becomes a WebSocket. @returns the request */
async function shakeHands(socket: Socket): Promise<string> {
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  const request = String(bytes);
  const key = /sec-websocket-key: (\S+)/i.exec(request)?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  return request;
}

function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
}

function accessTo(serverUrl: string, ticket: () => Promise<string>) {
  return { serverUrl, ticket, refresh: ticket, pins: () => [] };
}

function listen(url: string, clock: ManualClock) {
  const heard: string[] = [];
  let wake = (): void => undefined;
  const note = (what: string) => (): void => {
    heard.push(what);
    wake();
  };
  const connection = eventSocket(
    accessTo(url, async () => 'a-ticket'),
    clock,
  ).open({
    onOpen: note('open'),
    onHint: note('hint'),
    onArriving: note('arriving'),
    onClose: note('close'),
  });
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { heard, until, connection };
}

test('it shows its ticket, tells when it is open and of each event, and leaves aside what it does not know', async (t) => {
  const { url, server } = await openServer(t);
  const { heard, until } = listen(url, new ManualClock());
  const [socket] = (await once(server, 'connection')) as [Socket];
  const request = await shakeHands(socket);
  assert.match(request, /^GET \/v1\/events HTTP/);
  assert.match(request, /authorization: Bearer a-ticket\r\n/i);
  for (const text of [eventText({ type: 'connected' }), '{"type":"new"}', '{', eventText({ type: 'changed', at: null })])
    socket.write(textFrame(text));
  await until(2);
  socket.destroy();
  await until(3);
  assert.deepEqual(heard, ['open', 'hint', 'close']);
});

test('a server that has gone silent is given up, and one that pings is not', async (t) => {
  const { url, server } = await openServer(t);
  const clock = new ManualClock();
  const { heard, until } = listen(url, clock);
  const [socket] = (await once(server, 'connection')) as [Socket];
  await shakeHands(socket);
  socket.write(textFrame(eventText({ type: 'connected' })));
  await until(1);
  await clock.pass(60_000);
  const pong = once(socket, 'data');
  socket.write(Buffer.from([0x89, 0]));
  await pong;
  await clock.pass(60_000);
  assert.deepEqual(heard, ['open']);
  await clock.pass(20_000);
  assert.deepEqual(heard, ['open', 'close']);
  assert.equal(clock.waiting, 0);
});

test('a server that never answers is given up too', async (t) => {
  const { url, server } = await openServer(t);
  const clock = new ManualClock();
  const { heard } = listen(url, clock);
  await once(server, 'connection');
  await clock.pass(80_000);
  assert.deepEqual(heard, ['close']);
});

test('nothing is told after it was closed', async (t) => {
  const { url, server } = await openServer(t);
  const clock = new ManualClock();
  const { heard, until, connection } = listen(url, clock);
  const [socket] = (await once(server, 'connection')) as [Socket];
  await shakeHands(socket);
  socket.write(textFrame(eventText({ type: 'connected' })));
  await until(1);
  const closing = once(socket, 'data');
  connection.close();
  await closing;
  const gone = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  socket.write(textFrame(eventText({ type: 'changed', at: null })));
  socket.end();
  await gone;
  assert.deepEqual(heard, ['open']);
  assert.equal(clock.waiting, 0);
});

test('a ticket that cannot be had is a lost connection', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  eventSocket(
    accessTo('http://127.0.0.1:1', () => Promise.reject(new Error('not logged in'))),
    new ManualClock(),
  ).open({
    onOpen: () => assert.fail(),
    onHint: () => assert.fail(),
    onArriving: () => assert.fail(),
    onClose: resolve,
  });
  await promise;
});
