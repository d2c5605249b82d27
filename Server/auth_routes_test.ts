import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { type FixtureOptions, openServer } from './testing/server_fixture.ts';

type Heard = { readonly bytes: Buffer; readonly address: string };
const DATAGRAM = Buffer.alloc(1200, 7);
const TYPE = { 'content-type': 'application/octet-stream' };

async function place(t: TestContext, options: FixtureOptions = {}, reply: (heard: Heard) => Promise<Uint8Array | null> = async () => null) {
  const heard: Heard[] = [];
  const carry = (datagram: Uint8Array, address: string): Promise<Uint8Array | null> => {
    const one = { bytes: Buffer.from(datagram), address };
    heard.push(one);
    return reply(one);
  };
  const server = await openServer({ ...options, carrier: { carry } });
  t.after(() => server[Symbol.asyncDispose]());
  const post = (payload: Buffer, more: { headers?: Record<string, string>; remoteAddress?: string } = {}) =>
    server.ask(null, { method: 'POST', url: ROUTES.auth, payload, ...more, headers: { ...TYPE, ...more.headers } });
  return { server, heard, post };
}

test('a datagram goes to the daemon byte for byte, and its reply comes back; silence is 204', async (t) => {
  const said = Buffer.alloc(68, 9);
  const { heard, post } = await place(t, {}, async () => (heard.length === 1 ? said : null));
  const first = await post(DATAGRAM, { remoteAddress: '::ffff:192.0.2.7' });
  assert.deepEqual([first.status, first.headers['content-type'], first.bytes], [200, 'application/octet-stream', said]);
  assert.deepEqual(heard, [{ bytes: DATAGRAM, address: '192.0.2.7' }]);
  const second = await post(DATAGRAM);
  assert.deepEqual([second.status, second.bytes.length], [204, 0]);
});

test('anything but 1200 bytes of a datagram is refused and goes nowhere', async (t) => {
  const { heard, post, server } = await place(t);
  for (const [length, status] of [
    [0, 400],
    [1199, 400],
    [1201, 413],
    [100_000, 413],
  ] as const) {
    assert.equal((await post(Buffer.alloc(length))).status, status, `${length}`);
  }
  assert.equal((await post(DATAGRAM, { headers: { 'content-type': 'application/json' } })).status, 415);
  assert.equal((await server.ask(null, { method: 'GET', url: ROUTES.auth })).status, 405);
  assert.deepEqual(heard, []);
});

test('a daemon that says nothing is 504, and not a word of why', async (t) => {
  const { post } = await place(t, {}, async () => {
    throw new AppError('auth_unreachable', 'the authentication daemon does not answer');
  });
  const { status, json } = await post(DATAGRAM);
  assert.deepEqual([status, json().code], [504, 'auth_unreachable']);
});

test('one address, and all together, have only so many under way', async (t) => {
  const { promise, resolve } = Promise.withResolvers<null>();
  const { post, heard } = await place(t, {}, () => promise);
  const of = (n: number): string => `10.0.0.${Math.floor(n / LIMITS.carriedPerAddressMax)}`;
  const waiting = Array.from({ length: LIMITS.carriedPerAddressMax }, (_, n) => post(DATAGRAM, { remoteAddress: of(n) }));
  assert.equal((await post(DATAGRAM, { remoteAddress: of(0) })).status, 429);
  for (let n = waiting.length; n < LIMITS.carriedMax; n += 1) waiting.push(post(DATAGRAM, { remoteAddress: of(n) }));
  assert.equal((await post(DATAGRAM, { remoteAddress: '192.0.2.1' })).status, 503);
  resolve(null);
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 204);
  assert.equal(heard.length, LIMITS.carriedMax);
  assert.equal((await post(DATAGRAM, { remoteAddress: of(0) })).status, 204);
});

test('a client is who the connection is from; what a trusted proxy says of it counts, and nothing further left', async (t) => {
  const from = async (options: FixtureOptions, remoteAddress: string, forwarded: string): Promise<string | undefined> => {
    const { post, heard } = await place(t, options);
    await post(DATAGRAM, { remoteAddress, headers: { 'x-forwarded-for': forwarded } });
    return heard[0]?.address;
  };
  const trusted = { trustedProxies: ['127.0.0.1', '10.0.0.0/8'] };
  assert.equal(await from({}, '127.0.0.1', '192.0.2.1'), '127.0.0.1');
  assert.equal(await from(trusted, '192.0.2.9', '192.0.2.1'), '192.0.2.9');
  assert.equal(await from(trusted, '127.0.0.1', '198.51.100.1, 192.0.2.1'), '192.0.2.1');
  assert.equal(await from(trusted, '127.0.0.1', '198.51.100.1, 192.0.2.1, 10.1.2.3'), '192.0.2.1');
  assert.equal(await from(trusted, '127.0.0.1', '2001:db8::7'), '2001:db8::7');
  assert.equal(await from(trusted, '127.0.0.1', 'nonsense'), '127.0.0.1');
});

test('a page of another site may not ask: no answer allows it', async (t) => {
  const { post, server } = await place(t);
  const headers = { origin: 'https://evil.example' };
  assert.equal((await post(DATAGRAM, { headers })).headers['access-control-allow-origin'], undefined);
  const asked = await server.ask(null, {
    method: 'OPTIONS',
    url: ROUTES.auth,
    headers: { ...headers, 'access-control-request-method': 'POST' },
  });
  assert.equal(asked.headers['access-control-allow-origin'], undefined);
});
