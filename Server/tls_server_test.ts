import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { type AddressInfo, connect as connectPlain } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { ROUTES } from '../Models/routes.ts';
import { pinOf, requestKeyReplacement } from '../Storage/server_pins.ts';
import { listen } from './listen.ts';
import { openServer, type ServerFixture } from './testing/server_fixture.ts';
import { openOwnIdentity, type TlsIdentity } from './tls_identity.ts';

let server: ServerFixture;
let tls: TlsIdentity;
let url: string;
let port: number;
before(async () => {
  server = await openServer({ tls: (dataFolder) => openOwnIdentity({ dataFolder, names: ['localhost'], now: Date.now }) });
  assert.ok(server.tls !== null);
  tls = server.tls;
  url = await listen(server.app, { host: '127.0.0.1', port: 0 });
  port = (server.app.server.address() as AddressInfo).port;
});
after(() => server[Symbol.asyncDispose]());

async function handshake(options: { maxVersion?: 'TLSv1.2'; ALPNProtocols?: string[]; session?: Buffer } = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  return socket;
}
const peerPin = (socket: TLSSocket): string => {
  const key = socket.getPeerX509Certificate()?.publicKey;
  assert.ok(key !== undefined);
  return pinOf(key);
};
const ownPin = (): string => pinOf(createPublicKey(tls.current().key));

/** @param agent keeps its connections */
async function ask(path: string, agent?: Agent): Promise<number | undefined> {
  const sent = request(`${url}${path}`, { rejectUnauthorized: false, ...(agent !== undefined && { agent }) }).end();
  const [answer] = await once(sent, 'response');
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode;
}

test('it speaks TLS 1.3 and HTTP/1.1, says so in its address, and answers there', async () => {
  assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
  const socket = await handshake({ ALPNProtocols: ['h2', 'http/1.1'] });
  assert.deepEqual([socket.getProtocol(), socket.alpnProtocol, peerPin(socket)], ['TLSv1.3', 'http/1.1', ownPin()]);
  socket.destroy();
  await assert.rejects(handshake({ maxVersion: 'TLSv1.2' }), /alert/i);
  assert.equal(await ask('/healthz'), 200);
});

test('plain HTTP on its port is cut without a word', async () => {
  const error = await once(get(`http://127.0.0.1:${port}/healthz`), 'error').then(([thrown]) => thrown as NodeJS.ErrnoException);
  assert.match(error.code ?? '', /ECONNRESET|HPE_INVALID_CONSTANT/);
  const raw = connectPlain(port, '127.0.0.1');
  raw.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.doesNotMatch(await text(raw), /HTTP\/1\.1 200|driftless/i);
  assert.equal(await ask('/healthz'), 200);
});

test('the cookie of a link stays on HTTPS, and nothing makes a browser insist on a certificate that no authority knows', async () => {
  const alice = await server.addUser('alice');
  const post = (path: string, payload: object) => server.ask(alice, { method: 'POST', url: path, payload });
  await post(ROUTES.folders, { path: '/shown' });
  const { token } = (await post(ROUTES.links, { path: '/shown', mode: 'download', password: 'hushhush' })).json();
  const form = { method: 'POST', rejectUnauthorized: false, headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  const sent = request(`${url}/l/${token}`, form).end('password=hushhush');
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  assert.match(answer.headers['set-cookie']?.[0] ?? '', /; HttpOnly; SameSite=Strict; Secure$/);
  assert.equal(answer.headers['strict-transport-security'], undefined);
});

test('a key takes the place of another from the next connection on, and open ones stay', async () => {
  const before = ownPin();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.equal(await ask('/healthz', agent), 200);
  const [kept] = Object.values(agent.freeSockets).flat();
  await requestKeyReplacement(server.folder);
  await tls.refresh();
  assert.notEqual(ownPin(), before);
  const socket = await handshake();
  assert.equal(peerPin(socket), ownPin());
  socket.destroy();
  assert.equal(await ask('/healthz', agent), 200);
  assert.equal(Object.values(agent.freeSockets).flat()[0], kept);
  agent.destroy();
});

/** Needs curl. */
async function curl(pin: string): Promise<{ code: number | null; out: string }> {
  const child = spawn('curl', ['-sk', '--pinnedpubkey', `sha256//${pin}`, `${url}/healthz`], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return { code: code as number | null, out };
}

test('curl compares the same pin', async () => {
  assert.match((await curl(ownPin())).out, /alive/);
  assert.equal((await curl(Buffer.alloc(32).toString('base64'))).code, 90);
});
