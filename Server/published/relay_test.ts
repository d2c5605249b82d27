import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { FetchMessage } from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import { listen, stopListening } from '../listen.ts';
import { openServer, type ServerFixture, type User } from '../testing/server_fixture.ts';

/** A device that publishes, as the wire has it; what it answers is the test's. */
type Device = { readonly id: string; asked(): Promise<FetchMessage>; readonly messages: unknown[] };

const CONTENT = randomBytes(300_000);
const DIGEST = hash('sha256', CONTENT);

async function opened(t: TestContext) {
  const server = await openServer();
  t.after(() => server[Symbol.asyncDispose]());
  const url = await listen(server.app, { host: '127.0.0.1', port: 0 });
  t.after(() => stopListening(server.app));
  const [alice, bob] = [await server.addUser('alice'), await server.addUser('bob')];
  return { server, url, alice, bob };
}

async function publish(t: TestContext, { server, url, alice }: { server: ServerFixture; url: string; alice: User }): Promise<Device> {
  const { id } = (
    await server.ask(alice, { method: 'POST', url: ROUTES.publications, payload: { name: 'set', audience: { kind: 'everyone' } } })
  ).json();
  const files = [{ path: 'f', size: CONTENT.length, digest: DIGEST }];
  const announced = await server.ask(alice, { method: 'POST', url: `${ROUTES.publications}/${id}/files`, payload: { files, gone: [] } });
  assert.equal(announced.status, 204);
  const socket = new WebSocket(`${url.replace('http', 'ws')}${ROUTES.events}?serves=${id}`, {
    headers: { authorization: `Bearer ${alice.ticket}` },
  });
  t.after(() => socket.close());
  const messages: unknown[] = [];
  let wake = (): void => undefined;
  socket.addEventListener('message', ({ data }) => {
    messages.push(JSON.parse(String(data)));
    wake();
  });
  const next = async (type: string): Promise<unknown> => {
    for (;;) {
      const at = messages.findIndex((message) => (message as { type: string }).type === type);
      if (at >= 0) return messages.splice(at, 1)[0];
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  await next('connected');
  return { id, asked: async () => (await next('fetch')) as FetchMessage, messages };
}

const headersOf = (user: User) => ({ authorization: `Bearer ${user.ticket}` });
const contentUrl = (url: string, id: string, more: Record<string, string> = {}): string =>
  `${url}${ROUTES.publishedContent}?${new URLSearchParams({ id, path: 'f', ...more })}`;
const codeOf = async (answer: Response): Promise<string> => `${answer.status} ${((await answer.json()) as { code: string }).code}`;

function answer(
  url: string,
  user: User,
  { relay }: Pick<FetchMessage, 'relay'>,
  body: Buffer,
  more: Record<string, string> = {},
): Promise<Response> {
  const headers = { ...headersOf(user), 'content-type': 'application/octet-stream' };
  return fetch(`${url}${ROUTES.relay}?${new URLSearchParams({ id: relay, ...more })}`, {
    method: 'POST',
    headers,
    ...(body.length > 0 && { body }),
  });
}

test('bytes go from the device that was asked to who asked, and an id is good once and for that device alone', async (t) => {
  const world = await opened(t);
  const { url, alice, bob, server } = world;
  const device = await publish(t, world);
  const fetching = fetch(contentUrl(url, device.id, { digest: DIGEST }), { headers: { ...headersOf(bob), range: 'bytes=100-' } });
  const asked = await device.asked();
  assert.deepEqual(
    { ...asked, relay: '' },
    { type: 'fetch', relay: '', digest: DIGEST, start: 100, length: CONTENT.length - 100, user: 'bob' },
  );
  assert.match(asked.relay, /^[0-9a-f]{32}$/);
  const rest = CONTENT.subarray(100);
  const otherDevice = { ...alice, ticket: await server.ticketFor(alice, { claims: { dev: '9'.repeat(32) } }) };
  for (const [who, relay] of [
    [bob, asked.relay],
    [otherDevice, asked.relay],
    [alice, '0'.repeat(32)],
  ] as const) {
    assert.equal(await codeOf(await answer(url, who, { relay }, rest)), '404 not_found');
  }
  for (const length of [rest.length - 1, rest.length + 1]) {
    assert.equal(await codeOf(await answer(url, alice, asked, Buffer.alloc(length))), '400 length_mismatch');
  }
  const sending = answer(url, alice, asked, rest);
  const fetched = await fetching;
  assert.deepEqual([fetched.status, fetched.headers.get('content-range')], [206, `bytes 100-${CONTENT.length - 1}/${CONTENT.length}`]);
  assert.ok(rest.equals(Buffer.from(await fetched.arrayBuffer())));
  assert.equal((await sending).status, 204);
  assert.equal(await codeOf(await answer(url, alice, asked, rest)), '404 not_found');
});

test('what a device refuses with reaches who asked, and nothing is noted', async (t) => {
  const world = await opened(t);
  const { url, alice, bob, server } = world;
  const device = await publish(t, world);
  for (const [refused, code] of [
    ['file_changed', '409 file_changed'],
    ['not_found', '404 not_found'],
    ['busy', '503 busy'],
  ] as const) {
    const fetching = fetch(contentUrl(url, device.id), { headers: headersOf(bob) });
    const asked = await device.asked();
    assert.equal((await answer(url, bob, asked, Buffer.alloc(0), { refused })).status, 404);
    assert.equal((await answer(url, alice, asked, Buffer.alloc(0), { refused })).status, 204);
    assert.equal(await codeOf(await fetching), code);
  }
  assert.deepEqual((await server.ask(alice, { method: 'GET', url: ROUTES.fetches })).json().fetches, []);
});

/** Bob has asked for the file; nothing of it is sent yet. */
async function fetchUnderWay({ url, alice, bob }: { url: string; alice: User; bob: User }, device: Device) {
  const fetching = fetch(contentUrl(url, device.id), { headers: headersOf(bob) });
  const { relay } = await device.asked();
  const sending = httpRequest(`${url}${ROUTES.relay}?id=${relay}`, {
    method: 'POST',
    headers: { ...headersOf(alice), 'content-type': 'application/octet-stream', 'content-length': CONTENT.length },
  });
  return { fetching, sending };
}

test('a device that breaks off cuts the fetch, and it is noted how much was given on', async (t) => {
  const world = await opened(t);
  const { alice, server } = world;
  const device = await publish(t, world);
  const { fetching, sending } = await fetchUnderWay(world, device);
  sending.on('error', () => undefined);
  sending.write(CONTENT.subarray(0, 1000));
  const fetched = await fetching;
  const reader = (fetched.body as ReadableStream<Uint8Array>).getReader();
  assert.ok(CONTENT.subarray(0, 1000).equals((await reader.read()).value as Uint8Array));
  sending.destroy();
  await assert.rejects(reader.read());
  let fetches: { user: string; length: number; sent: number | null }[] = [];
  while (fetches[0]?.sent == null) fetches = (await server.ask(alice, { method: 'GET', url: ROUTES.fetches })).json().fetches;
  assert.deepEqual(
    fetches.map(({ user, length, sent }) => [user, length, sent]),
    [['bob', CONTENT.length, 1000]],
  );
});

test('a fetch ends when it is not allowed any more, with both sides cut', async (t) => {
  const world = await opened(t);
  const { alice, server } = world;
  const device = await publish(t, world);
  const { fetching, sending } = await fetchUnderWay(world, device);
  const cut = new Promise((resolve) => sending.once('error', resolve));
  sending.write(CONTENT.subarray(0, 1000));
  const reader = ((await fetching).body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const payload = { name: 'set', audience: { kind: 'users', users: [] } };
  assert.equal((await server.ask(alice, { method: 'POST', url: ROUTES.publications, payload })).status, 200);
  await assert.rejects(reader.read());
  await cut;
});

test('nothing that is asked wrongly reaches a device', async (t) => {
  const world = await opened(t);
  const { url, alice, bob, server } = world;
  const device = await publish(t, world);
  const get = async (more: Record<string, string>, headers: Record<string, string> = {}): Promise<string> =>
    codeOf(await fetch(contentUrl(url, device.id, more), { headers: { ...headersOf(bob), ...headers } }));
  assert.equal(await get({ digest: '0'.repeat(64) }), '409 file_changed');
  assert.equal(await get({ path: 'none' }), '404 not_found');
  assert.equal(await get({ path: '../f' }), '400 name_invalid');
  assert.equal(await get({ id: '../f' }), '400 request_invalid');
  assert.equal(await get({ digest: 'x' }), '400 request_invalid');
  assert.equal(await get({}, { range: `bytes=${CONTENT.length}-` }), '416 range_invalid');
  const post = async (user: User, route: string, payload: object): Promise<string> => {
    const { status, ...rest } = await server.ask(user, { method: 'POST', url: route, payload });
    return `${status} ${rest.json().code}`;
  };
  const audience = { kind: 'everyone' };
  assert.equal(await post(bob, `${ROUTES.publications}/${device.id}/files`, { files: [], gone: ['f'] }), '404 not_found');
  assert.equal(await post(alice, ROUTES.publications, { name: 'x', audience: { kind: 'users', users: ['nobody'] } }), '404 user_unknown');
  assert.equal(await post(alice, ROUTES.publications, { name: '..', audience }), '400 name_invalid');
  assert.equal(await post(alice, ROUTES.publications, { name: 'x', audience: { kind: 'all' } }), '400 request_invalid');
  for (const file of [{ path: '/etc/passwd' }, { path: '' }, { size: -1 }, { size: 0.5 }, { digest: 'AB' }]) {
    const files = [{ path: 'f', size: 1, digest: DIGEST, ...file }];
    assert.match(await post(alice, `${ROUTES.publications}/${device.id}/files`, { files, gone: [] }), /^400 (name|path|request)_invalid$/);
  }
  assert.equal((await server.ask(bob, { method: 'DELETE', url: `${ROUTES.publications}/${device.id}` })).status, 404);
  const other = new WebSocket(`${url.replace('http', 'ws')}${ROUTES.events}?serves=${device.id}`, { headers: headersOf(bob) });
  await new Promise((resolve) => other.addEventListener('error', resolve));
  assert.deepEqual(
    device.messages.filter((message) => (message as { type: string }).type === 'fetch'),
    [],
  );
});

test('without a device that serves, a fetch is refused at once, also where the device is online for something else', async (t) => {
  const world = await opened(t);
  const { url, alice, bob, server } = world;
  const { id } = (
    await server.ask(alice, { method: 'POST', url: ROUTES.publications, payload: { name: 'set', audience: { kind: 'everyone' } } })
  ).json();
  const files = [{ path: 'f', size: 3, digest: DIGEST }];
  await server.ask(alice, { method: 'POST', url: `${ROUTES.publications}/${id}/files`, payload: { files, gone: [] } });
  const socket = new WebSocket(`${url.replace('http', 'ws')}${ROUTES.events}`, { headers: headersOf(alice) });
  t.after(() => socket.close());
  await new Promise((resolve) => socket.addEventListener('message', resolve));
  assert.equal(await codeOf(await fetch(contentUrl(url, id), { headers: headersOf(bob) })), '409 owner_offline');
  const [listed] = (await server.ask(bob, { method: 'GET', url: ROUTES.published })).json().files;
  assert.deepEqual([listed.name, listed.online], ['set/f', false]);
});

test('a fetch is answered with nothing when it was taken back while the device was asked', async (t) => {
  const world = await opened(t);
  const { url, alice, bob, server } = world;
  const device = await publish(t, world);
  const fetching = fetch(contentUrl(url, device.id), { headers: headersOf(bob) });
  const asked = await device.asked();
  await server.ask(alice, { method: 'POST', url: ROUTES.publications, payload: { name: 'set', audience: { kind: 'users', users: [] } } });
  const answering = answer(url, alice, asked, CONTENT).catch(() => null); // cut off: nobody takes it
  assert.equal(await codeOf(await fetching), '404 not_found');
  await answering;
  const { fetches } = (await server.ask(alice, { method: 'GET', url: ROUTES.fetches })).json();
  assert.deepEqual(fetches, []);
});

test('what a disabled user announced is shown to nobody until the account is good again', async (t) => {
  const world = await opened(t);
  const { server, alice, bob } = world;
  await publish(t, world);
  const listed = async (): Promise<unknown[]> =>
    (await server.ask(bob, { method: 'GET', url: ROUTES.published })).json().files.map(({ name }: { name: string }) => name);
  assert.deepEqual(await listed(), ['set/f']);
  await server.accounts.setDisabled(alice.id, true, Date.now());
  assert.deepEqual(await listed(), []);
  await server.accounts.setDisabled(alice.id, false, Date.now());
  assert.deepEqual(await listed(), ['set/f']);
});
