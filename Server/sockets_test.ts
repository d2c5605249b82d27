import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { listen, stopListening } from './listen.ts';
import { formOf, uploadOf } from './testing/form.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
let port: number;
before(async () => {
  server = await openServer();
  alice = await server.addUser('alice');
  port = Number(new URL(await listen(server.app, { host: '127.0.0.1', port: 0 })).port);
});
after(() => server[Symbol.asyncDispose]());

async function openSocket(...lines: string[]): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  return socket;
}

const head = (method: string, path: string, ...headers: string[]): string[] => [
  `${method} ${path} HTTP/1.1`,
  'Host: 127.0.0.1',
  `Authorization: Bearer ${alice.ticket}`,
  ...headers,
];

async function download(path: string): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${alice.ticket}` };
  const sent = httpRequest({ port, host: '127.0.0.1', path: `${ROUTES.files}?${new URLSearchParams({ path })}`, headers, agent: false });
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

const exists = async (path: string): Promise<boolean> =>
  (await server.ask(alice, { method: 'GET', url: `${ROUTES.entry}?${new URLSearchParams({ path })}` })).status === 200;

/** Waits until the server has answered or given up one more request. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, 'waited too long');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('an upload whose connection breaks in the middle leaves nothing to see, and the server goes on', async () => {
  const { boundary, payload } = formOf([
    { name: 'path', value: '/broken.bin' },
    { name: 'file', value: randomBytes(20_000_000), fileName: 'f' },
  ]);
  for (const sent of [0, 100, 1_000_000, 15_000_000]) {
    const lines = head(
      'POST',
      ROUTES.files,
      `Content-Type: multipart/form-data; boundary=${boundary}`,
      `Content-Length: ${payload.length}`,
    );
    const before = server.logged.length;
    const socket = await openSocket(...lines);
    await new Promise((resolve) => socket.write(payload.subarray(0, sent), resolve));
    socket.destroy();
    await until(() => server.logged.slice(before).some((line) => line.includes('"status":499')));
    assert.equal(await exists('/broken.bin'), false);
  }
  assert.equal((await server.ask(alice, uploadOf('/broken.bin', 'whole'))).status, 200);
});

test('a body longer than declared is cut at the declared length, and what follows is not taken for a file', async () => {
  const { boundary, payload } = formOf([
    { name: 'path', value: '/longer.bin' },
    { name: 'file', value: 'x'.repeat(1000), fileName: 'f' },
  ]);
  const declared = payload.length - 600;
  const lines = head('POST', ROUTES.files, `Content-Type: multipart/form-data; boundary=${boundary}`, `Content-Length: ${declared}`);
  const socket = await openSocket(...lines);
  socket.write(payload);
  assert.match(await text(socket), /^HTTP\/1\.1 400 [\s\S]*"code":"(upload_interrupted|request_invalid)"/);
  assert.equal(await exists('/longer.bin'), false);
});

test('a JSON body longer than declared is refused as malformed', async () => {
  const socket = await openSocket(
    ...head('POST', ROUTES.folders, 'Content-Type: application/json', 'Content-Length: 10', 'Connection: close'),
  );
  socket.write('{"path":"/declared"}');
  assert.match(await text(socket), /"code":"request_invalid"/);
  assert.equal(await exists('/declared'), false);
});

test('who is refused while still sending gets to see why', async () => {
  const sent = httpRequest({
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: ROUTES.files,
    headers: { authorization: 'Bearer nothing', 'content-type': 'multipart/form-data; boundary=b', 'content-length': 64_000_000 },
  });
  sent.on('error', () => undefined); // the connection may end while the rest is being sent
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  for (let i = 0; i < 10; i += 1) sent.write(Buffer.alloc(100_000));
  const [answer] = await answered;
  assert.equal(answer.statusCode, 401);
  assert.match(await text(answer), /"code":"ticket_invalid"/);
  sent.destroy();
});

test('a full disk is told to a client that is still sending', async () => {
  await using other = await openServer({
    wrapChunks: (chunks) => ({
      copies: chunks.copies,
      append: () => Promise.reject(new AppError('storage_full', 'no space left')),
      sync: () => chunks.sync(),
      read: (range) => chunks.read(range),
      close: () => chunks.close(),
    }),
  });
  const user = await other.addUser('alice');
  const url = await listen(other.app, { host: '127.0.0.1', port: 0 });
  const { headers, payload } = uploadOf('/full.bin', randomBytes(64_000_000));
  const answer = await fetch(`${url}${ROUTES.files}`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${user.ticket}` },
    body: payload,
  });
  assert.equal(answer.status, 507);
  assert.equal(((await answer.json()) as { code: string }).code, 'storage_full');
  await stopListening(other.app);
});

test('a download goes no faster than it is read, and no chunk is read long before it is wanted', async () => {
  const content = randomBytes(24_000_000);
  assert.equal((await server.ask(alice, uploadOf('/slow.bin', content))).status, 200);
  const answer = await download('/slow.bin');
  answer.pause();
  await until(() => answer.readableLength > 0);
  const [socket] = [answer.socket];
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(socket.bytesRead < 12_000_000, `${socket.bytesRead} bytes came unasked`);
  assert.ok((await buffer(answer)).equals(content));
});

test('a download that is abandoned ends its reading', async () => {
  const answer = await download('/slow.bin');
  const before = server.logged.length;
  answer.destroy();
  await until(() => server.logged.slice(before).some((line) => line.includes('"status":499')));
});

test('a damaged chunk is never sent: the connection breaks before its first byte', async () => {
  const content = randomBytes(6_000_000);
  const before = new Set(await packs());
  assert.equal((await server.ask(alice, uploadOf('/rotten.bin', content))).status, 200);
  await flip(content.subarray(5_500_000, 5_500_032), before);
  const answer = await download('/rotten.bin');
  assert.equal(answer.statusCode, 200);
  const pieces: Buffer[] = [];
  await assert.rejects(async () => {
    for await (const piece of answer) pieces.push(piece as Buffer);
  });
  const came = Buffer.concat(pieces);
  assert.ok(came.length < 5_500_000);
  assert.ok(came.equals(content.subarray(0, came.length)));
  const ranged = await server.ask(alice, {
    method: 'GET',
    url: `${ROUTES.files}?path=/rotten.bin`,
    headers: { range: 'bytes=5500000-5500010' },
  });
  assert.deepEqual([ranged.status, ranged.json().code, ranged.json().detail], [500, 'corrupt', undefined]);
  for (const name of ['content-range', 'content-disposition', 'etag']) assert.equal(ranged.headers[name], undefined, name);
});

async function packs(): Promise<string[]> {
  const names = await readdir(join(server.folder, 'packs'), { recursive: true });
  return names.filter((name) => name.endsWith('.pack'));
}

/** Flips one bit of the only place in the packs where `needle` lies. */
async function flip(needle: Buffer, _known: ReadonlySet<string>): Promise<void> {
  for (const name of await packs()) {
    const handle = await open(join(server.folder, 'packs', name), 'r+');
    const at = (await handle.readFile()).indexOf(needle);
    if (at >= 0) await handle.write(Buffer.from([(needle[0] as number) ^ 1]), 0, 1, at);
    await handle.close();
    if (at >= 0) return;
  }
  assert.fail('the content is in no pack');
}

test('what is not HTTP, and headers without end, are answered with a problem', async () => {
  for (const [lines, status] of [
    [['NONSENSE'], 400],
    [['GET / HTTP/1.1', 'Host: 127.0.0.1', 'Content-Length: 5', 'Content-Length: 6'], 400],
    [['GET / HTTP/1.1', 'Host: 127.0.0.1', 'Content-Length: 5', 'Transfer-Encoding: chunked'], 400],
    [['GET / HTTP/1.1', 'Host: 127.0.0.1', 'Host: evil.example', 'Connection: close'], 400],
    [['GET / HTTP/1.1', 'Host: 127.0.0.1', `X: ${'x'.repeat(100_000)}`], 431],
  ] as const) {
    const answer = await text(await openSocket(...lines));
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(answer, /application\/problem\+json/);
  }
});

test('no timeout is left at none, and none but the idle one ends a stream within a day', () => {
  const http = server.app.server;
  assert.equal(http.headersTimeout, LIMITS.headersTimeoutMs);
  assert.equal(http.requestTimeout, LIMITS.streamTimeoutMs);
  assert.equal(http.timeout, LIMITS.idleSocketTimeoutMs);
  assert.equal(http.keepAliveTimeout, LIMITS.keepAliveTimeoutMs);
  assert.equal(http.maxRequestsPerSocket, LIMITS.requestsPerSocketMax);
  assert.equal(http.maxConnections, LIMITS.connectionsMax);
  assert.ok(http.requestTimeout >= 24 * 3_600_000);
});

test('a server told to stop lets a download under way come to its end', async () => {
  await using other = await openServer();
  const user = await other.addUser('alice');
  const content = randomBytes(12_000_000);
  assert.equal((await other.ask(user, uploadOf('/last.bin', content))).status, 200);
  const url = await listen(other.app, { host: '127.0.0.1', port: 0 });
  const answer = await fetch(`${url}${ROUTES.files}?path=/last.bin`, { headers: { authorization: `Bearer ${user.ticket}` } });
  const beganMs = performance.now();
  const stopped = stopListening(other.app);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(content));
  await stopped;
  assert.ok(performance.now() - beganMs < LIMITS.shutdownTimeoutMs, 'the connection kept open after the download held it up');
  await assert.rejects(fetch(`${url}/healthz`));
});

// The last one: what the server waited for while time was in the test's hands, as to read again which sessions have ended, never comes afterwards.
test('a JSON body that does not come to its end in time, and a refused one or one for no route that goes on, end the connection', async (t) => {
  for (const [route, ticket, waitMs] of [
    [ROUTES.folders, alice.ticket, LIMITS.requestTimeoutMs],
    [ROUTES.folders, 'nothing', LIMITS.drainTimeoutMs],
    ['/no/such/route', 'nothing', LIMITS.drainTimeoutMs],
  ] as const) {
    await server.revocations.poll();
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const lines = [`POST ${route} HTTP/1.1`, 'Host: 127.0.0.1', `Authorization: Bearer ${ticket}`];
    const socket = await openSocket(...lines, 'Content-Type: application/json', 'Content-Length: 100');
    socket.write('{"path":');
    socket.resume();
    const closed = once(socket, 'close');
    // the timer runs only once the server has seen the request: time passes until it has
    while (!socket.closed) {
      t.mock.timers.tick(waitMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    t.mock.timers.reset();
  }
});
