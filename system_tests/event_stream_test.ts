import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { streamEvents } from '../Client/event_stream.ts';
import { httpFor } from '../Client/http.ts';
import { ROUTES } from '../Models/routes.ts';
import { listen } from '../Server/listen.ts';
import { openServer, type ServerFixture, type User } from '../Server/testing/server_fixture.ts';
import { type CuttingProxy, openProxy } from './cutting_proxy.ts';

/** A client that follows events over real sockets, while what is between it and the server breaks in every way that sockets have. */

const PER_BREAK = 5;
let server: ServerFixture;
let port: number;
before(async () => {
  server = await openServer();
  port = await listeningOn(server);
});
after(() => server[Symbol.asyncDispose]());

const listeningOn = async ({ app }: ServerFixture): Promise<number> =>
  Number(new URL(await listen(app, { host: '127.0.0.1', port: 0 })).port);

async function mkdir(user: User, path: string): Promise<void> {
  assert.equal((await server.ask(user, { method: 'POST', url: ROUTES.folders, payload: { path } })).status, 200);
}

/** Follows as the library does, through the proxy, with the times after which a silent connection is given up `hurried` times as short. */
function follow(proxy: CuttingProxy, ticket: () => string, { hurried = 1, since = 'now' } = {}) {
  const access = { serverUrl: proxy.url, ticket: async () => ticket(), refresh: async () => ticket(), pins: () => [] };
  const http = httpFor(access);
  const check = (after: string | null) => http.json(null, 'GET', ROUTES.changes, { query: { limit: 1, ...(after !== null && { after }) } });
  const clock = {
    after(ms: number, then: () => void) {
      const timer = setTimeout(then, ms / hurried);
      return () => clearTimeout(timer);
    },
  };
  const over = new AbortController();
  const seen = { paths: [] as string[], connections: 0, cursor: '' };
  const ended = (async () => {
    for await (const event of streamEvents({ access, check, clock }, since, over.signal)) {
      if (event.type === 'connected') seen.connections += 1;
      if ('cursor' in event) seen.cursor = event.cursor;
      if (event.type === 'changed') seen.paths.push(event.path);
    }
  })();
  ended.catch(() => undefined); // asserted by who waits for it
  return {
    seen,
    ended,
    async stop() {
      over.abort();
      await ended;
      await http.close();
    },
  };
}

async function until(holds: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, what());
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const BREAKS = [
  ['ends in order', (proxy: CuttingProxy) => proxy.cut('end'), 1],
  ['is reset', (proxy: CuttingProxy) => proxy.cut('reset'), 1],
  ['is silent, and open on both sides', (proxy: CuttingProxy) => proxy.freeze(), 200],
] as const;

for (const [how, breaks, hurried] of BREAKS) {
  test(`when its connection ${how}, a client goes on behind the last change that came: none is missed and none comes twice`, async () => {
    const user = await server.addUser(`user ${hurried} ${how.length}`);
    await using proxy = await openProxy(port);
    const { seen, stop } = follow(proxy, () => user.ticket, { hurried });
    await until(
      () => seen.connections === 1,
      () => 'it does not connect',
    );
    const wanted: string[] = [];
    for (let n = 0; n < 3 * PER_BREAK; n += 1) {
      if (n % PER_BREAK === 2) breaks(proxy);
      wanted.push(`/${n}`);
      await mkdir(user, `/${n}`);
    }
    await until(
      () => seen.paths.length >= wanted.length,
      () => seen.paths.join(),
    );
    await mkdir(user, '/last');
    await until(
      () => seen.paths.includes('/last'),
      () => seen.paths.join(),
    );
    await stop();
    assert.deepEqual(seen.paths, [...wanted, '/last']);
    assert.ok(seen.connections > 1);
  });
}

test('a server of another history, as one that was set back to another database, is no place to go on: the cursor is refused by its code', async () => {
  const user = await server.addUser('ann');
  await using other = await openServer();
  const stranger = await other.addUser('ann');
  await using proxy = await openProxy(port);
  let ticket = user.ticket;
  const { seen, ended, stop } = follow(proxy, () => ticket);
  await until(
    () => seen.connections === 1,
    () => 'it does not connect',
  );
  await mkdir(user, '/before');
  await until(
    () => seen.paths.length === 1,
    () => 'it hears nothing',
  );
  proxy.turnTo(await listeningOn(other));
  ticket = stranger.ticket;
  proxy.cut();
  await assert.rejects(ended, { code: 'cursor_invalid' });
  assert.deepEqual(seen.paths, ['/before']);
  await stop().catch(() => undefined);
});

test('that it asks too often now is no end for a client: it is there again when it is let in', async (t) => {
  const user = await server.addUser('ida');
  let refused = 0;
  const full = createServer((_request, response) => {
    refused += 1;
    response.writeHead(429, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ code: 'too_many_requests' }));
  }).listen(0, '127.0.0.1');
  await once(full, 'listening');
  t.after(() => full.close());
  await using proxy = await openProxy((full.address() as AddressInfo).port);
  const { seen, ended, stop } = follow(proxy, () => user.ticket);
  const refusedTwice = until(
    () => refused >= 4, // each time the connection, then the question why
    () => 'it does not ask again',
  );
  await Promise.race([refusedTwice, ended]);
  proxy.turnTo(port);
  proxy.cut();
  await until(
    () => seen.connections === 1,
    () => 'it does not connect',
  );
  await stop();
});

test('when its session has ended a client stops, with the code that says so', async () => {
  const user = await server.addUser('eve');
  await using proxy = await openProxy(port);
  const { seen, ended, stop } = follow(proxy, () => user.ticket);
  await until(
    () => seen.connections === 1,
    () => 'it does not connect',
  );
  await server.accounts.endSession(user.sessionId, Date.now());
  await assert.rejects(ended, { code: 'ticket_revoked' });
  await stop().catch(() => undefined);
});
