import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { encodeUint32 } from '../../Models/datagram_fields.ts';
import { encodeClient, encodeServer } from '../../Models/datagrams.ts';
import { parseAuthAddress } from './auth_address.ts';
import { type Clock, exchangeOver, openExchange } from './exchange.ts';
import { TIMING } from './retransmission.ts';
import { openUdpWay } from './udp_way.ts';

type Answer = (bytes: Buffer, from: RemoteInfo, count: number) => Uint8Array[];

async function fakeDaemon(t: TestContext, answer: Answer): Promise<{ address: ReturnType<typeof parseAuthAddress>; got: Buffer[] }> {
  const socket = createSocket('udp4');
  const got: Buffer[] = [];
  socket.on('message', (bytes, from) => {
    got.push(bytes);
    for (const reply of answer(bytes, from, got.length)) socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { address: parseAuthAddress(`127.0.0.1:${socket.address().port}`), got };
}

const transaction = new Uint8Array(16).fill(7);
const fields = { cookie: new Uint8Array(16), timeMs: new Uint8Array(8), sessionId: new Uint8Array(16), mac: new Uint8Array(32) };
const request = encodeClient('ack', transaction, fields);
const acked = (id: Uint8Array, fill: number): Uint8Array => encodeServer('acked', id, { mac: new Uint8Array(32).fill(fill) });

/** Time that stands still until it is told to pass, so that it does not matter how busy the machine is. */
function stillClock(): Clock & { pass(ms: number): void; readonly delays: readonly number[] } {
  let atMs = 0;
  const delays: number[] = [];
  const due = new Set<{ readonly atMs: number; readonly then: () => void }>();
  return {
    delays,
    nowMs: () => atMs,
    random: () => 0.5,
    after(delayMs, then) {
      const one = { atMs: atMs + delayMs, then };
      delays.push(delayMs);
      due.add(one);
      return () => due.delete(one);
    },
    pass(ms) {
      const untilMs = atMs + ms;
      for (;;) {
        const [next] = [...due].filter((one) => one.atMs <= untilMs).sort((one, other) => one.atMs - other.atMs);
        if (next === undefined) break;
        atMs = next.atMs;
        due.delete(next);
        next.then();
      }
      atMs = untilMs;
    },
  };
}

const until = (t: TestContext, isSo: () => boolean): Promise<void> => t.waitFor(() => assert.ok(isSo()), { timeout: 30_000, interval: 2 });

async function exchangeWith(t: TestContext, address: ReturnType<typeof parseAuthAddress>, options = {}) {
  const exchange = await openExchange(address, options);
  t.after(() => exchange.close());
  return exchange;
}

test('a request is sent again, byte for byte, until it is answered', async (t) => {
  const { address, got } = await fakeDaemon(t, (_bytes, _from, count) => (count < 2 ? [] : [acked(transaction, 1)]));
  const clock = stillClock();
  const exchange = await exchangeWith(t, address, { clock });
  const asked = exchange.request(request, (reply) => reply.kind);
  await until(t, () => got.length === 1);
  clock.pass(TIMING.firstMs);
  assert.equal(await asked, 'acked');
  assert.equal(got.length, 2);
  for (const bytes of got) assert.deepEqual(new Uint8Array(bytes), request);
});

test('what was not answered in time is sent twice, so that one more loss costs no other wait', async (t) => {
  const { address, got } = await fakeDaemon(t, (_bytes, _from, count) => (count < 3 ? [] : [acked(transaction, 1)]));
  const clock = stillClock();
  const exchange = await exchangeWith(t, address, { clock });
  const asked = exchange.request(request, (reply) => reply.kind);
  await until(t, () => got.length === 1);
  clock.pass(TIMING.firstMs + TIMING.secondProbeMs);
  assert.equal(await asked, 'acked');
  assert.equal(got.length, 3);
});

test('rubbish, replies of another transaction and replies that are not to be believed are passed over', async (t) => {
  const rubbish = [Buffer.from('hello'), Buffer.alloc(1200), acked(new Uint8Array(16), 1), acked(transaction, 1).subarray(0, 40), request];
  const { address } = await fakeDaemon(t, () => [...rubbish, acked(transaction, 1), acked(transaction, 2)]);
  const exchange = await exchangeWith(t, address);
  const believed = await exchange.request(request, (reply) => (reply.kind === 'acked' && reply.mac[0] === 2 ? reply.mac[0] : null));
  assert.equal(believed, 2);
});

test('what the reply means can be a failure, and the exchange goes on with the next request', async (t) => {
  const { address } = await fakeDaemon(t, () => [acked(transaction, 1)]);
  const exchange = await exchangeWith(t, address);
  const failing = exchange.request(request, () => {
    throw new Error('meant');
  });
  await assert.rejects(failing, /meant/);
  assert.equal(await exchange.request(request, (reply) => reply.kind), 'acked');
});

test('nobody answers: it gives up with the cause it knows', async (t) => {
  const silent = await fakeDaemon(t, () => []);
  const waiting = await exchangeWith(t, silent.address, { giveUpMs: 50 });
  await assert.rejects(
    waiting.request(request, () => true),
    { code: 'auth_unreachable', message: /blocks UDP/ },
  );
  const address = parseAuthAddress('127.0.0.1:1'); // a port that the system gives to nobody
  const clock = stillClock();
  const way = await openUdpWay(address);
  const refused = exchangeOver(way, address, { clock, giveUpMs: 50 });
  t.after(() => refused.close());
  const asked = refused.request(request, () => true);
  const rejected = assert.rejects(asked, { code: 'auth_unreachable', message: /nothing listens there/ });
  await until(t, () => way.hint() !== null);
  clock.pass(50);
  await rejected;
});

test('a busy daemon is asked again when it said, and busy is the failure when it stays so', async (t) => {
  const busy = encodeServer('busy', transaction, { retryAfterMs: encodeUint32(20) });
  const saidMs = 30; // 20, and as much again at most by chance
  const once2 = await fakeDaemon(t, (_bytes, _from, count) => [count === 1 ? busy : acked(transaction, 1)]);
  const clock = stillClock();
  const exchange = await exchangeWith(t, once2.address, { clock });
  const asked = exchange.request(request, (reply) => reply.kind);
  await until(t, () => clock.delays.includes(saidMs));
  clock.pass(saidMs); // which is long before the timer of a lost datagram
  assert.equal(await asked, 'acked');
  const always = await fakeDaemon(t, () => [busy]);
  const later = stillClock();
  const patient = await exchangeWith(t, always.address, { giveUpMs: 150, clock: later });
  const rejected = assert.rejects(
    patient.request(request, () => true),
    { code: 'busy' },
  );
  await until(t, () => later.delays.includes(saidMs));
  later.pass(150);
  await rejected;
});

test('closing ends a request that waits', async (t) => {
  const { address } = await fakeDaemon(t, () => []);
  const exchange = await openExchange(address);
  const waiting = exchange.request(request, () => true);
  exchange.close();
  await assert.rejects(waiting, { code: 'cancelled' });
});

test('a cookie that is none over UDP: where HTTP said busy and then nothing, the next RETRY over UDP counts once HTTP was silent for as long again', async (t) => {
  const retry = encodeServer('retry', transaction, { cookie: new Uint8Array(16).fill(2), daemonKey: new Uint8Array(32) });
  const busy = encodeServer('busy', transaction, { retryAfterMs: encodeUint32(20) });
  const saidMs = 30;
  const holdMs = TIMING.giveUpMs / 3;
  const daemon = await fakeDaemon(t, () => [retry]);
  const asked: ServerResponse[] = [];
  const server = createServer((request, response) => {
    request.resume().on('end', () => asked.push(response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const clock = stillClock();
  const serverUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const exchange = await exchangeWith(t, daemon.address, { clock, serverUrl, first: 'http' });
  const seen: string[] = [];
  const withCookie = encodeClient('ack', transaction, { ...fields, cookie: new Uint8Array(16).fill(1) });
  const answer = exchange.request(withCookie, (reply) => seen.push(reply.kind));
  const holds = (): number => clock.delays.filter((ms) => ms === holdMs).length;
  await until(t, () => asked.length === 1);
  clock.pass(TIMING.patienceMs);
  await until(t, () => holds() === 1);
  asked[0]?.end(busy);
  await until(t, () => clock.delays.includes(saidMs));
  clock.pass(saidMs);
  await until(t, () => asked.length === 2); // which is never answered
  clock.pass(TIMING.ceilingMs); // over UDP it is asked again
  await until(t, () => holds() === 2);
  clock.pass(holdMs - TIMING.ceilingMs);
  assert.deepEqual(seen, [], 'the first RETRY does not count: HTTP has answered since');
  clock.pass(TIMING.ceilingMs);
  await answer;
  assert.deepEqual(seen, ['retry']);
});
