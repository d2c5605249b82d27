import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LINK_PREFIX } from '../Models/links.ts';
import { ROUTES } from '../Models/routes.ts';
import { OwnTime } from '../Models/testing/processor_time.ts';
import { badTickets } from './testing/bad_tickets.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
before(async () => {
  server = await openServer();
  alice = await server.addUser('alice');
});
after(() => server[Symbol.asyncDispose]());

const PUBLIC = ['/healthz', '/readyz', '/metrics', ROUTES.ticketKeys, ROUTES.auth, ROUTES.openapi, '/docs'];

function concrete(url: string): string {
  return url.replace(':id', 'a'.repeat(32));
}

test('only the way to the daemon, health, metrics, the public keys, the documentation and what visitors of links see are public', () => {
  const open = server.app.routeTable.filter((route) => route.public).map((route) => route.url);
  for (const url of open) assert.ok(PUBLIC.includes(url) || url.startsWith('/docs') || url.startsWith(`${LINK_PREFIX}/:token`), url);
  const closed = new Set(server.app.routeTable.filter((route) => !route.public).map((route) => route.url));
  for (const [name, url] of Object.entries(ROUTES))
    assert.ok(PUBLIC.includes(url) || closed.has(url), `${name} is served and needs a ticket`);
});

test('every route refuses every bad ticket with 401 and its code, whatever else the request is', async () => {
  const bad = await badTickets(server.key, Date.now());
  for (const { method, url, public: open } of server.app.routeTable) {
    if (open) continue;
    for (const { what, authorization, code } of bad) {
      const answer = await server.ask(null, {
        method: method as 'GET',
        url: concrete(url),
        headers: authorization === null ? {} : { authorization },
        ...(method === 'POST' && { payload: '{broken' }),
      });
      const name = `${method} ${url} with a ticket ${what}`;
      assert.equal(answer.status, 401, name);
      assert.equal(answer.headers['www-authenticate'], 'Bearer', name);
      if (method !== 'HEAD') assert.equal(answer.json().code, code, name);
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, name);
    }
  }
});

test('after a logout, and once the user is disabled, every route refuses the ticket, within one reading of the accounts', async () => {
  const whoami = { method: 'GET', url: ROUTES.whoami } as const;
  for (const [name, end] of [
    ['bob', ({ sessionId }: User) => server.accounts.endSession(sessionId, Date.now())],
    ['barred', ({ id }: User) => server.accounts.setDisabled(id, true, Date.now())],
  ] as const) {
    const user = await server.addUser(name);
    assert.equal((await server.ask(user, whoami)).json().user, name);
    await end(user);
    await server.revocations.poll();
    for (const { method, url, public: open } of server.app.routeTable) {
      if (open) continue;
      const answer = await server.ask(user, { method: method as 'GET', url: concrete(url) });
      assert.equal(answer.status, 401, url);
      if (method !== 'HEAD') assert.equal(answer.json().code, 'ticket_revoked', url);
    }
  }
  assert.equal((await server.ask(alice, whoami)).status, 200);
});

test('tickets that are not good, or not any more, are written down, and neither those that ran out nor none', async () => {
  const dave = await server.addUser('dave');
  const whoami = { method: 'GET', url: ROUTES.whoami } as const;
  await server.accounts.endSession(dave.sessionId, Date.now());
  await server.revocations.poll();
  const before = server.audited.length;
  for (const { authorization } of await badTickets(server.key, Date.now())) {
    await server.ask(null, { ...whoami, headers: authorization === null ? {} : { authorization } });
  }
  await server.ask(dave, whoami);
  const audited = server.audited.slice(before);
  const address = '127.0.0.1';
  const invalid = (await badTickets(server.key, Date.now())).filter(({ code }) => code === 'ticket_invalid');
  const nobody = { userId: undefined, userName: undefined, deviceId: undefined };
  assert.deepEqual(audited.slice(0, -1), Array(invalid.length).fill({ what: 'ticket', result: 'ticket_invalid', ...nobody, address }));
  const who = { userId: dave.id, userName: 'dave', deviceId: '2'.repeat(32) };
  assert.deepEqual(audited.at(-1), { what: 'ticket', result: 'ticket_revoked', ...who, address });
});

test('a logout takes effect within two seconds', async () => {
  const carol = await server.addUser('carol');
  await server.accounts.endSession(carol.sessionId, Date.now());
  using time = new OwnTime();
  while ((await server.ask(carol, { method: 'GET', url: ROUTES.whoami })).status === 200) {
    assert.ok(time.ms < 2000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('whoami tells what the ticket says', async () => {
  const answer = await server.ask(alice, { method: 'GET', url: ROUTES.whoami });
  const { expiresAt, ...who } = answer.json();
  assert.deepEqual(who, { user: 'alice', role: 'user', device: '2'.repeat(32), session: alice.sessionId, epoch: server.metadata.epoch });
  assert.ok(Date.parse(expiresAt) > Date.now());
});

test('no ticket and no path is ever in the log', async () => {
  await server.ask(alice, { method: 'GET', url: `${ROUTES.entry}?path=/canary-in-the-query` });
  const log = server.logged.join('');
  assert.ok(log.includes(alice.id));
  for (const secret of [alice.ticket, alice.ticket.split('.')[2] as string, 'Bearer', 'canary-in-the-query'])
    assert.ok(!log.includes(secret), secret);
});

test('loopback names are taken as Host and no others, so that a page elsewhere cannot reach a server here', async () => {
  for (const host of ['localhost', 'localhost:4811', '127.0.0.1:4811', '127.8.9.1', '[::1]:4811']) {
    assert.equal((await server.ask(null, { method: 'GET', url: '/healthz', headers: { host } })).status, 200, host);
  }
  for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:4811', '10.0.0.1', '[::2]']) {
    const answer = await server.ask(alice, { method: 'GET', url: ROUTES.whoami, headers: { host } });
    assert.equal(answer.status, 421, host);
    assert.equal(answer.json().code, 'request_invalid');
  }
});

test('metrics are for this machine alone', async () => {
  const metrics = { method: 'GET', url: '/metrics' } as const;
  const here = await server.ask(null, metrics);
  assert.match(here.bytes.toString(), /driftless_http_requests_total\{.*route="\/v1\/whoami".*\} \d+/);
  for (const name of ['driftless_http_bytes_total', 'driftless_operations_total', 'driftless_http_connections', 'nodejs_eventloop_lag']) {
    assert.ok(here.bytes.toString().includes(name), name);
  }
  assert.equal((await server.ask(null, { ...metrics, remoteAddress: '192.0.2.1' })).status, 404);
  assert.equal((await server.ask(null, { ...metrics, headers: { 'x-forwarded-for': '192.0.2.1' } })).status, 404);
  await using everywhere = await openServer({ loopbackOnly: false });
  const page = { ...metrics, headers: { host: 'evil.example:4811' } }; // its name resolves to this machine now
  assert.equal((await everywhere.ask(null, page)).status, 404);
});
