import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { streamEvents } from '../Client/event_stream.ts';
import { httpFor } from '../Client/http.ts';
import type { Access } from '../Client/http_connect.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { makeCertificate } from '../Server/tls_certificate.ts';
import { pinOf } from '../Storage/server_pins.ts';

type Heard = {
  readonly url: string;
  readonly pin: string;
  readonly certificate: string;
  readonly seen: IncomingMessage[];
  readonly bytes: () => number;
  readonly server: Server;
};

/** An HTTPS server with a key of its own that keeps all that it is told, and how many bytes of it came after the handshake. */
async function listen(t: TestContext, names: readonly string[] = []): Promise<Heard> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await makeCertificate({ key: privateKey, names, atMs: Date.now() });
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const seen: IncomingMessage[] = [];
  let bytes = 0;
  const server = createServer({ key, cert: certificate, minVersion: 'TLSv1.3' }, (request, response) => {
    seen.push(request);
    response.setHeader('content-type', 'application/json');
    request.resume().once('end', () => response.end('{}'));
  });
  server.on('upgrade', (request, socket: Socket) => {
    seen.push(request);
    socket.destroy();
  });
  server.on('secureConnection', (socket) => {
    socket.on('data', (piece: Buffer) => {
      bytes += piece.length;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, pin: pinOf(publicKey), certificate, seen, bytes: () => bytes, server };
}

/** Follows events until a connection was tried, or five were not the one. */
async function followOnce(session: Access, tried: () => boolean): Promise<void> {
  const stop = new AbortController();
  let checks = 0;
  const check = async (): Promise<void> => {
    checks += 1;
    if (tried() || checks > 5) stop.abort();
  };
  for await (const event of streamEvents({ access: session, check }, 'now', stop.signal)) assert.fail(JSON.stringify(event));
}

/** A session whose daemon tells of `after` once it is asked again. */
function access(serverUrl: string, before: readonly string[], after: readonly string[] = before) {
  let pins = before;
  const asked = { renewals: 0 };
  const refresh = async (): Promise<string> => {
    asked.renewals += 1;
    pins = after;
    return 'a-ticket';
  };
  return { serverUrl, ticket: async () => 'a-ticket', refresh, pins: () => pins, asked };
}

function withCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}

async function* endless(sent: { pieces: number }): AsyncGenerator<Uint8Array> {
  for (;;) {
    sent.pieces += 1;
    yield Buffer.alloc(1024);
  }
}

const OTHER = Buffer.alloc(32, 1).toString('base64');

test('a server with one of the keys that the daemon told of is spoken to', async (t) => {
  const { url, pin, seen } = await listen(t);
  const session = access(url, [OTHER, pin]);
  const http = httpFor(session);
  await http.json(null, 'GET', '/v1/whoami');
  await http.close();
  assert.equal(seen[0]?.headers.authorization, 'Bearer a-ticket');
  assert.equal(session.asked.renewals, 0);
});

test('an impostor gets not one byte: no header of a request, a stream or an event connection', async (t) => {
  const impostor = await listen(t, ['127.0.0.1']);
  const session = access(impostor.url, [OTHER]);
  const http = httpFor(session);
  await assert.rejects(http.json(null, 'POST', '/v1/folders', { body: {} }), withCode('server_certificate_changed'));
  const sent = { pieces: 0 };
  await assert.rejects(http.stream('POST', '/v1/push', { body: endless(sent) }), withCode('server_certificate_changed'));
  assert.equal(sent.pieces, 0);
  await http.close();
  await followOnce(session, () => session.asked.renewals === 3);
  assert.deepEqual([impostor.bytes(), impostor.seen.length], [0, 0]);
  assert.equal(session.asked.renewals, 3, 'the daemon was asked whether the key is a new one');
});

test('a key that took the place of another while the client slept is asked for, and the request goes on, whatever its body', async (t) => {
  const { url, pin, seen } = await listen(t);
  for (const kind of ['json', 'stream', 'events'] as const) {
    const session = access(url, [OTHER], [pin]);
    const http = httpFor(session);
    const body = (async function* () {
      yield Buffer.from('once');
    })();
    if (kind === 'json') await http.json(null, 'GET', '/v1/whoami');
    else if (kind === 'stream') assert.equal(await text((await http.stream('POST', '/v1/push', { body })).body), '{}');
    else await followOnce(session, () => seen.length === 3);
    await http.close();
    assert.equal(seen.at(-1)?.headers.authorization, 'Bearer a-ticket', kind);
    assert.equal(session.asked.renewals, 1);
  }
  assert.equal(seen.length, 3);
});

test('no session is resumed that would bring no certificate', async (t) => {
  const { url, pin, server } = await listen(t);
  const reused: boolean[] = [];
  server.on('secureConnection', (socket) => reused.push(socket.isSessionReused()));
  for (let n = 0; n < 2; n += 1) {
    const http = httpFor(access(url, [pin]));
    await http.json(null, 'GET', '/v1/whoami');
    await http.close();
  }
  assert.deepEqual(reused, [false, false]);
});

test('without pins an authority has to vouch for the name, and a certificate that signed itself is told nothing', async (t) => {
  const known = await listen(t, ['127.0.0.1']);
  const misnamed = await listen(t, ['localhost']);
  const http = httpFor(access(known.url, []));
  await assert.rejects(http.json(null, 'GET', '/v1/whoami'), withCode('server_unreachable'));
  assert.equal(known.bytes(), 0);
  const authorities = getCACertificates('default');
  t.after(() => setDefaultCACertificates(authorities));
  setDefaultCACertificates([known.certificate, misnamed.certificate]);
  await http.json(null, 'GET', '/v1/whoami');
  await http.close();
  assert.equal(known.seen[0]?.headers.authorization, 'Bearer a-ticket');
  const wrong = httpFor(access(misnamed.url, []));
  await assert.rejects(wrong.json(null, 'GET', '/v1/whoami'), withCode('server_unreachable'));
  await wrong.close();
  assert.equal(misnamed.bytes(), 0);
});

test('a daemon that cannot be asked is told of, and nothing is sent', async (t) => {
  const { url, bytes } = await listen(t);
  const session = { ...access(url, [OTHER]), refresh: () => Promise.reject(new AppError('auth_unreachable', 'no answer')) };
  const http = httpFor(session);
  await assert.rejects(http.json(null, 'GET', '/v1/whoami'), withCode('auth_unreachable'));
  await http.close();
  assert.equal(bytes(), 0);
});
