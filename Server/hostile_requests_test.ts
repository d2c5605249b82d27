import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { FRAME_TYPE } from '../Models/frames.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { listen } from './listen.ts';
import { openServer, type ServerFixture, type User } from './testing/server_fixture.ts';

let server: ServerFixture;
let administrator: User;
let port: number;
before(async () => {
  server = await openServer();
  const user = await server.addUser('administrator'); // whom no route refuses for who they are
  administrator = { ...user, ticket: await server.ticketFor(user, { claims: { role: 'admin' } }) };
  port = Number(new URL(await listen(server.app, { host: '127.0.0.1', port: 0 })).port);
});
after(() => server[Symbol.asyncDispose]());

const concrete = (url: string): string => url.replace(':id', 'a'.repeat(32)).replace(':token', 'a'.repeat(22)).replace('*', 'x');
const routesOf = (...methods: string[]) => server.app.routeTable.filter(({ method }) => methods.includes(method));

/** All that is answered on one connection. */
async function answersTo(bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.setEncoding('utf8').end(bytes, 'latin1');
  return text(socket);
}
const statusesIn = (answers: string): number[] => [...answers.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));

/** The server has neither ended nor failed at anything so far. */
async function assertSound(what: string): Promise<void> {
  assert.match(await answersTo('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200/, what);
  const failures = server.logged.filter((line) => Number(JSON.parse(line).level) >= 50);
  assert.deepEqual(failures, [], what);
}

test('a content type that is nearly one is none, on every route that takes a body', async () => {
  const types = ['application/json', FRAME_TYPE, 'application/octet-stream', 'multipart/form-data', 'application/x-www-form-urlencoded'];
  const wrong = types.flatMap((type) => [
    `${type}x`,
    `x${type}`,
    `${type}/x`,
    `${type},${type}`,
    `${type} x`,
    `${type}\t;;`.replace(';;', '\tx'),
    type.replace('/', '\\'),
    type.replace('/', ' / '),
    type.replace('/', '//'),
    `"${type}"`,
    type.replace('a', '\u00e4'),
    type.split('/')[0] ?? '',
  ]);
  assert.equal(wrong.length, 60);
  for (const { method, url } of routesOf('POST', 'PATCH')) {
    for (const type of wrong) {
      const answer = await server.ask(administrator, {
        method: method as 'POST',
        url: concrete(url),
        headers: { 'content-type': type },
        payload: '{}',
      });
      assert.equal(answer.status, 415, `${url} with ${type}: ${answer.bytes}`);
    }
  }
  await assertSound('content types');
});

test('JSON that is deep, strange or meant to poison fails no route', async () => {
  const poison = [
    '{"__proto__":{"admin":true}}',
    '{"constructor":{"prototype":{"admin":true}}}',
    '{"path":"/a","x":{"__proto__":null}}',
    '{"\\u005f_proto__":1}',
  ];
  const strange = [
    '['.repeat(30_000),
    `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
    `[${'0,'.repeat(30_000)}0]`,
    `{${Array.from({ length: 5000 }, (_, i) => `"${i}":1`).join(',')}}`,
    '{"path":1e999,"quota":1e999,"version":-0,"limit":1e308}',
    '{"path":"\\ud800","user":"\\ud800","name":"\\u0000"}',
    '{"path":"/\\u0000","paths":["/\\u0000"],"user":"\\u0000"}',
    '{"quota":9007199254740993}',
    'null',
    '0',
    '""',
    '[]',
    '{}',
    '{"path":null}',
  ];
  for (const { url } of routesOf('POST')) {
    const send = (payload: string) =>
      server.ask(administrator, { method: 'POST', url: concrete(url), headers: { 'content-type': 'application/json' }, payload });
    for (const payload of poison) {
      const { status } = await send(payload);
      assert.ok([400, 415].includes(status), `${url} with ${payload}: ${status}`);
    }
    for (const payload of strange) {
      const { status, bytes } = await send(payload);
      assert.ok(status < 500, `${url} with ${payload.slice(0, 60)}: ${bytes}`);
    }
  }
  assert.equal(({} as { admin?: boolean }).admin, undefined);
  await assertSound('JSON');
});

test('no spelling of a path leads past the ticket', async () => {
  const inserted = [
    '%2f',
    '%2F',
    '%5c',
    '\\',
    '/',
    '/./',
    '/../',
    '%2e/',
    '%2e%2e/',
    '..%2f',
    '..;/',
    ';x',
    '%00',
    '%20',
    '%09',
    '%0d%0a',
    '%252f',
    '%c0%af',
    '%e0%80%af',
    '%u002f',
  ];
  const spellings = (path: string): string[] => {
    const places = [0, 1, 3, Math.floor(path.length / 2), path.length];
    const mixed = inserted.flatMap((piece) =>
      places.flatMap((at) => [`${path.slice(0, at)}${piece}${path.slice(at)}`, `${path.slice(0, at)}${piece}${piece}${path.slice(at)}`]),
    );
    const prefixed = inserted.flatMap((piece) => [
      `/docs${piece}..${path}`,
      `/healthz${piece}${path}`,
      `/l/${'a'.repeat(22)}${piece}${path}`,
      `/.${piece}${path}`,
      `/v1${piece}${path}`,
      `/docs/static${piece}..${piece}..${path}`,
    ]);
    const encoded = Array.from(
      path.slice(1),
      (_, i) => `${path.slice(0, i + 1)}%${path.charCodeAt(i + 1).toString(16)}${path.slice(i + 2)}`,
    ).slice(0, 20);
    const others = [
      path.toUpperCase(),
      `${path}?`,
      `${path}#`,
      `http://127.0.0.1${path}`,
      `${path}.json`,
      `${path}/`,
      `//127.0.0.1${path}`,
      `*${path}`,
    ].filter((one) => one !== path);
    const cased = Array.from({ length: 72 }, (_, i) =>
      Array.from(path, (letter, at) => (((i >> (at % 7)) & 1) === 1 ? letter.toUpperCase() : letter)).join(''),
    );
    return [...mixed, ...prefixed, ...encoded, ...others, ...cased];
  };
  const closed = [
    ...new Set(
      routesOf('GET', 'POST', 'DELETE')
        .filter((route) => !route.public)
        .map(({ url }) => concrete(url)),
    ),
  ];
  assert.ok(spellings(ROUTES.whoami).length >= 400);
  // each route is asked for in a twentieth of the spellings, and each spelling of as many of the routes
  const asked = closed.flatMap((path, route) => spellings(path).filter((_, i) => (i + route) % 20 === 0));
  const wrong: string[] = [];
  for (let at = 0; at < asked.length; ) {
    const some = asked.slice(at, at + 10);
    const statuses = statusesIn(await answersTo(some.map((path) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`).join('')));
    assert.ok(statuses.length > 0, `${some[0]}`);
    for (const [i, status] of statuses.entries())
      if (status < 400 && !/^\/(docs|healthz|l)\b/.test(some[i] ?? '')) wrong.push(`${status} ${some[i]}`);
    at += statuses.length; // what is no request ends the connection: what was behind it is asked for again
  }
  assert.deepEqual(wrong, []);
  await assertSound('paths');
});

test('what two readers could cut in two ways is refused, and what is behind it is answered by nobody', async () => {
  const next = 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
  const post = (...headers: string[]): string =>
    [`POST ${ROUTES.folders} HTTP/1.1`, 'Host: 127.0.0.1', 'Content-Type: application/json', ...headers].join('\r\n');
  const chunked = 'Transfer-Encoding: chunked';
  const ambiguous = [
    `${post('Content-Length: 2', 'Content-Length: 2')}\r\n\r\n{}`,
    `${post('Content-Length: 2', `Content-Length: ${next.length + 2}`)}\r\n\r\n{}`,
    `${post('Content-Length: 2, 2')}\r\n\r\n{}`,
    `${post('Content-Length: +2')}\r\n\r\n{}`,
    `${post('Content-Length: -2')}\r\n\r\n{}`,
    `${post('Content-Length: 0x2')}\r\n\r\n{}`,
    `${post('Content-Length: 2 2')}\r\n\r\n{}`,
    `${post('Content-Length: 99999999999999999999')}\r\n\r\n{}`,
    `${post('Content-Length : 2')}\r\n\r\n{}`,
    `${post('Content-Length: 2', chunked)}\r\n\r\n0\r\n\r\n`,
    `${post(chunked, 'Content-Length: 2')}\r\n\r\n0\r\n\r\n`,
    `${post('Transfer-Encoding: xchunked')}\r\n\r\n0\r\n\r\n`,
    `${post('Transfer-Encoding: chunked, identity')}\r\n\r\n0\r\n\r\n`,
    `${post('Transfer-Encoding: "chunked"')}\r\n\r\n0\r\n\r\n`,
    `${post('Transfer-Encoding : chunked')}\r\n\r\n0\r\n\r\n`,
    `${post(' Transfer-Encoding: chunked')}\r\n\r\n0\r\n\r\n`,
    `${post('Transfer-Encoding:\r\n chunked', 'Content-Length: 2')}\r\n\r\n0\r\n\r\n`,
    `${post(chunked)}\r\n\r\n-1\r\n{}\r\n0\r\n\r\n`,
    `${post(chunked)}\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n`,
    `${post(chunked)}\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n`,
    `${post(chunked)}\r\n\r\n2\r\n{}x\r\n0\r\n\r\n`,
    `${post('Content-Length: 2', 'X: a\rContent-Length: 50')}\r\n\r\n{}`,
    `${post('Content-Length: 2', 'X\u0000: a')}\r\n\r\n{}`,
    `${post('Content-Length: 2', 'X(: a')}\r\n\r\n{}`,
    `${post('Content-Length: 2', 'Host: 127.0.0.1')}\r\n\r\n{}`,
    `POST ${ROUTES.folders} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n folded: x\r\n\r\n{}`,
    `POST ${ROUTES.folders}  HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
    `POST ${ROUTES.folders} HTTP/1.10\r\nHost: 127.0.0.1\r\n\r\n`,
    `POST ${ROUTES.folders} HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /healthz\r\n\r\n',
  ];
  for (const request of ambiguous) {
    const statuses = statusesIn(await answersTo(`${request}${next}`));
    assert.ok(statuses.length === 1 && (statuses[0] ?? 0) >= 400, `${JSON.stringify(request)}: ${statuses}`);
  }
  await assertSound('requests that can be read in two ways');
});

test('no header ends the process, or fails a request', async () => {
  const headers = [
    '__proto__: x',
    'constructor: x',
    'toString: x',
    'hasOwnProperty: x',
    'Cookie: __proto__=x; constructor=y; driftless_link=z',
    'Connection: __proto__',
    'Expect: 100-continue',
    'Expect: nothing',
    'Upgrade: websocket\r\nConnection: upgrade',
    'Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAAA',
    'Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: upgrade',
    `Range: bytes=${'0-,'.repeat(3000)}0-`,
    `If-None-Match: ${'"x",'.repeat(3000)}"x"`,
    'Range: bytes=99999999999999999999-',
    'If-Range: \u00ff\u00fe',
    `Accept: ${'*/*;q=0.1,'.repeat(1500)}text/html`,
    'Authorization: Bearer',
    `Authorization: Bearer ${'.'.repeat(20_000)}`,
    'Authorization: Bearer \u00ff',
    'X-Forwarded-For: __proto__',
    'Idempotency-Key: \u00ff',
    'Content-Encoding: gzip',
    'Accept-Encoding: gzip, br, zstd, *;q=0',
  ];
  const paths = [ROUTES.whoami, `${ROUTES.files}?path=/x`, ROUTES.events, `/l/${'a'.repeat(22)}`, '/healthz', '/docs/'];
  for (const header of headers) {
    for (const path of paths) {
      const [status] = statusesIn(await answersTo(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${header}\r\nConnection: close\r\n\r\n`));
      assert.ok(status === undefined || status < 500, `${header.slice(0, 60)} on ${path}: ${status}`);
    }
  }
  await assertSound('headers');
});

test('what is longer than its route takes is refused by its length alone', async () => {
  for (const { url } of routesOf('POST')) {
    if (url.startsWith('/l/') || [ROUTES.files, ROUTES.push, ROUTES.relay].includes(url as never)) continue; // streams
    const head = [`POST ${concrete(url)} HTTP/1.1`, 'Host: 127.0.0.1', `Authorization: Bearer ${administrator.ticket}`];
    const send = (type: string): Promise<string> =>
      answersTo(`${head.join('\r\n')}\r\nContent-Type: ${type}\r\nContent-Length: ${LIMITS.treeBodyBytesMax * 16}\r\n\r\n{`);
    let answer = await send('application/json');
    if (statusesIn(answer)[0] === 415) answer = await send('application/octet-stream');
    assert.deepEqual([statusesIn(answer), /"code":"(\w+)"/.exec(answer)?.[1]], [[413], 'too_large'], url);
  }
  await assertSound('lengths');
});
