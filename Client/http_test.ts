import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { z } from 'zod';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { createHttp, type Http } from './http.ts';

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

let handle: Handler;
let requests: http.IncomingMessage[] = [];
const server = http.createServer((request, response) => {
  requests.push(request);
  handle(request, response);
});
let baseUrl: string;
let client: Http;
let tickets: string[];

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(async () => {
  await client?.close();
  requests = [];
  tickets = ['first', 'second'];
  client = createHttp({
    baseUrl,
    ticket: async () => tickets[0] ?? '',
    refresh: async () => {
      tickets.shift();
      return tickets[0] ?? '';
    },
    idleMs: 60_000,
  });
});
after(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

function problem(response: http.ServerResponse, status: number, code: string, detail = 'why'): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title: 'title', status, detail, code }));
}

function withCode(code: ErrorCode, message?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert(error instanceof AppError, String(error));
    assert.equal(error.code, code);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

const Answer = z.object({ ok: z.boolean() });
const sayOk: Handler = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end('{"ok":true}');
};

describe('a JSON request', () => {
  it('carries the ticket, the query and the body, and few other headers', async () => {
    let received = '';
    handle = (request, response) => {
      text(request).then((body) => {
        received = body;
        sayOk(request, response);
      }, assert.fail);
    };
    const answer = await client.json(Answer, 'POST', '/v1/move', {
      query: { path: '/ä b', after: undefined, limit: 3 },
      body: { from: '/a' },
    });
    assert.deepEqual(answer, { ok: true });
    assert.equal(received, '{"from":"/a"}');
    assert.equal(requests[0]?.url, '/v1/move?path=%2F%C3%A4+b&limit=3');
    assert.deepEqual(Object.keys(requests[0]?.headers ?? {}).sort(), [
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
    ]);
    assert.equal(requests[0]?.headers.authorization, 'Bearer first');
  });

  it('keeps the path of the base address', async () => {
    handle = sayOk;
    const below = createHttp({ baseUrl: `${baseUrl}/files/`, ticket: async () => 't', refresh: async () => 't' });
    await below.json(Answer, 'GET', '/v1/whoami');
    await below.close();
    assert.equal(requests[0]?.url, '/files/v1/whoami');
  });

  it('reuses its connections', async () => {
    handle = sayOk;
    for (let n = 0; n < 8; n += 1) await client.json(Answer, 'GET', '/');
    assert(new Set(requests.map((request) => request.socket)).size <= 2);
  });

  it('refuses an answer of another shape', async () => {
    handle = (_request, response) => response.end('{"ok":"yes"}');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('protocol_mismatch'));
    handle = (_request, response) => response.end('<p>hello');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('protocol_mismatch'));
  });

  it('may have an empty answer where none is expected', async () => {
    handle = (_request, response) => response.writeHead(204).end();
    assert.equal(await client.json(null, 'DELETE', '/'), undefined);
  });
});

describe('a refusal', () => {
  it('becomes the error its problem document names', async () => {
    handle = (_request, response) => problem(response, 404, 'not_found', 'no such folder');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('not_found', /^no such folder$/));
    await assert.rejects(client.stream('GET', '/'), withCode('not_found'));
  });

  it('with a code of a newer server is internal, and says that code', async () => {
    handle = (_request, response) => problem(response, 400, 'moon_full');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('internal', /moon_full/));
  });

  it('of something that is not Driftless says so', async () => {
    handle = (_request, response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('server_unreachable', /answered 502/));
    handle = (_request, response) => response.writeHead(403, { 'content-type': 'application/json' }).end('not json');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('server_unreachable', /answered 403/));
  });

  it('longer than any problem document is cut off', async () => {
    handle = (_request, response) => response.writeHead(500, { 'content-type': 'application/problem+json' }).end('x'.repeat(100_000));
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('protocol_mismatch'));
  });
});

describe('an expired ticket', () => {
  const onlySecond: Handler = (request, response) =>
    request.headers.authorization === 'Bearer second' ? sayOk(request, response) : problem(response, 401, 'ticket_expired');

  it('is renewed once and the request repeated', async () => {
    handle = onlySecond;
    assert.deepEqual(await client.json(Answer, 'POST', '/', { body: {} }), { ok: true });
    assert.equal(requests.length, 2);
  });

  it('that another request renewed meanwhile is not renewed again', async () => {
    handle = (request, response) => {
      if (request.headers.authorization === 'Bearer first') tickets = ['second', 'never'];
      onlySecond(request, response);
    };
    assert.deepEqual(await client.json(Answer, 'GET', '/'), { ok: true });
    assert.deepEqual(tickets, ['second', 'never']);
  });

  it('is reported when the renewed one is refused as well', async () => {
    handle = (_request, response) => problem(response, 401, 'ticket_expired');
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('ticket_expired'));
    assert.equal(requests.length, 2);
  });

  it('is reported when the body can be sent only once', async () => {
    handle = (request, response) => request.resume().on('end', () => problem(response, 401, 'ticket_expired'));
    await assert.rejects(client.stream('POST', '/', { body: pieces('a') }), withCode('ticket_expired'));
    assert.equal(requests.length, 1);
  });
});

async function* pieces(...parts: string[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

describe('a lost connection', () => {
  it('is tried again for a GET, a bounded number of times', async () => {
    handle = (request, response) => (requests.length < 3 ? request.socket.resetAndDestroy() : sayOk(request, response));
    assert.deepEqual(await client.json(Answer, 'GET', '/'), { ok: true });
    requests = [];
    handle = (request) => request.socket.resetAndDestroy();
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('server_unreachable', /was lost/));
    assert.equal(requests.length, 3);
  });

  it('is not tried again for a POST: it may have been done', async () => {
    handle = (request) => request.socket.resetAndDestroy();
    await assert.rejects(client.json(Answer, 'POST', '/', { body: {} }), withCode('server_unreachable'));
    assert.equal(requests.length, 1);
  });

  it('in the middle of an answer reaches its reader', async () => {
    handle = (request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('half', () => setImmediate(() => request.socket.resetAndDestroy()));
    };
    const { body } = await client.stream('GET', '/');
    await assert.rejects(text(body), withCode('server_unreachable', /was lost/));
  });

  it('and nobody listening is a server that cannot be reached', async () => {
    // a port that the system gives to nobody
    const lonely = createHttp({ baseUrl: 'http://127.0.0.1:2', ticket: async () => 't', refresh: async () => 't' });
    await assert.rejects(lonely.json(Answer, 'GET', '/'), withCode('server_unreachable', /ECONNREFUSED/));
    await lonely.close();
  });
});

describe('a stream', () => {
  it('answers while its request is still being sent', async () => {
    handle = (request, response) => {
      response.writeHead(200);
      response.flushHeaders();
      request.pipe(response);
    };
    const send = Promise.withResolvers<string>();
    async function* conversation(): AsyncGenerator<Buffer> {
      yield Buffer.from('one ');
      yield Buffer.from(await send.promise);
    }
    const { body } = await client.stream('POST', '/v1/push', { body: conversation() });
    const [first] = (await once(body, 'data')) as [Buffer];
    assert.equal(String(first), 'one ');
    send.resolve('two');
    assert.equal(await text(body), 'two');
  });

  it('takes an early refusal, and lets go of a source that has nothing to give', async () => {
    handle = (_request, response) => problem(response, 507, 'storage_full');
    const stuck = Promise.withResolvers<never>();
    async function* waiting(): AsyncGenerator<Buffer> {
      yield Buffer.from('one');
      await stuck.promise;
    }
    await assert.rejects(client.stream('POST', '/v1/push', { body: waiting() }), withCode('storage_full'));
  });

  it('passes on the very error its source threw', async () => {
    handle = (request, response) => request.resume().on('end', () => sayOk(request, response));
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from('one');
      throw new AppError('file_changed', 'moved');
    }
    await assert.rejects(client.stream('POST', '/v1/push', { body: failing() }), withCode('file_changed', /moved/));
  });

  it('names a failure of the local file as one', async () => {
    handle = (request, response) => request.resume().on('end', () => sayOk(request, response));
    async function* missing(): AsyncGenerator<Buffer> {
      yield await readFile('/no/such/file');
    }
    await assert.rejects(client.stream('POST', '/v1/push', { body: missing() }), withCode('local_io', /ENOENT/));
  });

  it('carries many bytes both ways', async () => {
    handle = (request, response) => request.pipe(response);
    const piece = Buffer.alloc(64 * 1024, 7);
    async function* many(): AsyncGenerator<Buffer> {
      for (let n = 0; n < 500; n += 1) yield piece;
    }
    const { body } = await client.stream('POST', '/', { body: many() });
    let bytes = 0;
    for await (const part of body) bytes += part.length;
    assert.equal(bytes, 500 * piece.length);
  });

  it('is cancelled by its signal before, during and after the head', async () => {
    await assert.rejects(client.stream('GET', '/', { signal: AbortSignal.abort() }), withCode('cancelled'));
    const waiting = new AbortController();
    handle = () => waiting.abort();
    await assert.rejects(client.stream('GET', '/', { signal: waiting.signal }), withCode('cancelled'));
    const reading = new AbortController();
    handle = (_request, response) => response.write('some');
    const { body } = await client.stream('GET', '/', { signal: reading.signal });
    reading.abort();
    await assert.rejects(text(body), withCode('cancelled'));
  });

  it('whose reader goes away ends its connection', async () => {
    handle = (_request, response) => response.write('some');
    const { body } = await client.stream('GET', '/');
    const closed = once(requests[0]?.socket ?? server, 'close');
    body.destroy();
    await closed;
  });

  it('fails when neither side moves for too long, but not because its reader is slow', async () => {
    const impatient = createHttp({ baseUrl, ticket: async () => 't', refresh: async () => 't', idleMs: 500 });
    handle = () => undefined;
    await assert.rejects(impatient.stream('GET', '/'), withCode('server_unreachable', /has not answered/));
    let made = 0;
    const big = Readable.from(
      (function* () {
        for (; made < 64; made += 1) yield Buffer.alloc(1024 * 1024);
      })(),
    );
    handle = (_request, response) => big.pipe(response);
    const { body } = await impatient.stream('GET', '/');
    await new Promise((resolve) => setTimeout(resolve, 1600)); // three idle times in which nothing is read
    assert(made < 32, `${made} MiB were taken though nobody reads`);
    let bytes = 0;
    for await (const part of body) bytes += part.length;
    assert.equal(bytes, 64 * 1024 * 1024);
    await impatient.close();
  });

  it('ends with the client', async () => {
    handle = (_request, response) => response.write('some');
    const { body } = await client.stream('GET', '/');
    await Promise.all([assert.rejects(text(body), withCode('cancelled')), client.close()]);
    await assert.rejects(client.json(Answer, 'GET', '/'), withCode('cancelled'));
  });
});
