import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { ROUTES } from '../Models/routes.ts';
import { ANSWER_HEADERS, BYTE_HEADERS } from './answer_headers.ts';
import { listen } from './listen.ts';
import { uploadOf } from './testing/form.ts';
import { type Answer, openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let alice: User;
before(async () => {
  server = await openServer();
  alice = await server.addUser('alice');
  assert.equal((await server.ask(alice, uploadOf('/a.svg', '<svg onload="alert(1)"/>'))).status, 200);
});
after(() => server[Symbol.asyncDispose]());

/** @param but what this answer says itself */
function assertCarried(headers: Answer['headers'], what: string, but: Record<string, string> = {}): void {
  for (const [name, value] of Object.entries({ ...ANSWER_HEADERS, ...but })) assert.equal(headers[name], value, `${what}: ${name}`);
  assert.match(String(headers['request-id']), /^[0-9a-f-]{36}$/, what);
}
const get = (url: string, headers: Record<string, string> = {}): Promise<Answer> => server.ask(alice, { method: 'GET', url, headers });

test('no cache keeps an answer, no browser guesses, frames or runs it: what helmet knows, and ours', () => {
  assert.equal(ANSWER_HEADERS['cache-control'], 'private, no-store');
  assert.equal(ANSWER_HEADERS['x-content-type-options'], 'nosniff');
  assert.equal(ANSWER_HEADERS['cross-origin-opener-policy'], 'same-origin');
  assert.equal(ANSWER_HEADERS['cross-origin-resource-policy'], 'same-origin');
  assert.equal(ANSWER_HEADERS['x-frame-options'], 'DENY');
  assert.match(ANSWER_HEADERS['content-security-policy'] ?? '', /^default-src 'none';.*frame-ancestors 'none'/);
  assert.equal(ANSWER_HEADERS['strict-transport-security'], undefined);
});

test('every route that needs a ticket says so with all headers, and so does what is no route', async () => {
  for (const { method, url, public: open } of server.app.routeTable) {
    if (open) continue;
    const answer = await server.ask(null, { method: method as 'GET', url: url.replace(':id', 'a'.repeat(32)) });
    assertCarried(answer.headers, `${method} ${url}`);
  }
  const others: InjectOptions[] = [
    { method: 'GET', url: '/nothing' },
    { method: 'PUT', url: ROUTES.files },
    { method: 'GET', url: '/v1/%zz' },
    { method: 'GET', url: `/v1/webhooks/${'x'.repeat(100)}` },
    { method: 'GET', url: ROUTES.whoami, headers: { host: 'evil.example' } },
  ];
  for (const one of others) assertCarried((await server.ask(null, one)).headers, String(one.url));
});

test('good answers carry them, and content comes as an attachment in a sandbox whatever it is asked for by', async () => {
  for (const url of [ROUTES.whoami, ROUTES.list, '/healthz', '/readyz', '/metrics', ROUTES.openapi])
    assertCarried((await get(url)).headers, url);
  const sandbox = { 'content-security-policy': "sandbox; default-src 'none'", 'content-type': 'application/octet-stream' };
  const file = `${ROUTES.files}?path=/a.svg`;
  const whole = await get(file);
  const etag = String(whole.headers.etag);
  for (const [what, answer] of Object.entries({
    whole,
    part: await get(file, { range: 'bytes=0-3' }),
    preview: await get(`${ROUTES.preview}?path=/a.svg`),
    head: await server.ask(alice, { method: 'HEAD', url: file }),
  })) {
    assertCarried(answer.headers, what, sandbox);
    assert.match(String(answer.headers['content-disposition']), /^attachment;/, what);
  }
  for (const [headers, status] of [
    [{ 'if-none-match': etag }, 304],
    [{ 'if-match': '"x"' }, 412],
    [{ range: 'bytes=900-' }, 416],
  ] as const) {
    const answer = await get(file, headers);
    assert.equal(answer.status, status);
    assertCarried(answer.headers, `${status}`);
  }
});

test('frames carry what a cache must know and no more', async () => {
  const tree = { manifests: ['/a.svg'] };
  const answer = await server.ask(alice, { method: 'POST', url: ROUTES.tree, payload: tree });
  assert.equal(answer.status, 200, answer.bytes.toString());
  for (const [name, value] of Object.entries(ANSWER_HEADERS))
    assert.equal(answer.headers[name], BYTE_HEADERS.has(name) ? value : undefined, name);
});

test('the documentation runs its own scripts alone, and what is kept of it is the same for everybody', async () => {
  const page = await server.ask(null, { method: 'GET', url: '/docs/' });
  const assets = [...page.bytes.toString().matchAll(/(?:src|href)="\.?\/?([^"]+\.(?:js|css|png))"/g)].map(([, name]) => name ?? '');
  assert.ok(assets.length > 2, page.bytes.toString());
  for (const url of ['/docs/', ...assets.map((name) => `/docs/${name.replace(/^(\/?docs\/)?/, '')}`)]) {
    const { status, headers } = await server.ask(null, { method: 'GET', url });
    assert.equal(status, 200, url);
    assert.match(
      String(headers['cache-control']),
      url === '/docs/' ? /^private, no-store$/ : /^(private, no-store|public, max-age=0)$/,
      url,
    );
    for (const name of ['x-content-type-options', 'x-frame-options', 'cross-origin-opener-policy']) {
      assert.equal(headers[name], ANSWER_HEADERS[name], `${url}: ${name}`);
    }
    assert.doesNotMatch(String(headers['content-security-policy']), /script-src[^;]*(unsafe|\*|https?:)/, url);
  }
});

test('so does the answer to what is no request', async () => {
  const port = Number(new URL(await listen(server.app, { host: '127.0.0.1', port: 0 })).port);
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('NONSENSE\r\n\r\n');
  const [head = ''] = (await text(socket)).split('\r\n\r\n');
  for (const [name, value] of Object.entries(ANSWER_HEADERS)) assert.ok(head.includes(`\r\n${name}: ${value}`), name);
});
