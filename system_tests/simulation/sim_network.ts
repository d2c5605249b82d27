import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { InjectOptions } from 'fastify';
import type { ZodType } from 'zod';
import type { Http, Method, Query, StreamOptions } from '../../Client/http.ts';
import type { Exchange } from '../../Client/http_exchange.ts';
import { AppError, type ErrorCode, isErrorCode } from '../../Models/errors.ts';
import type { SimServer } from './sim_server.ts';

/** What may go wrong with one request. `at`: share of its bytes, 0 to 1. */
export type NetworkFault =
  /** `partition`: this one and all that follow in this pass are dropped. */
  | { readonly kind: 'partition' | 'drop' | 'drop_reply' | 'duplicate' | 'restart' | 'portal' }
  | { readonly kind: 'cut_body' | 'cut_reply' | 'wrong_byte'; readonly at: number }
  | { readonly kind: 'refuse'; readonly code: 'ticket_expired' | 'too_many_requests' | 'busy' | 'storage_unavailable' | 'storage_full' };

export type NetworkCall = { readonly method: Method; readonly route: string };

export type SimNetwork = Http & {
  /** Bytes of content-carrying requests and answers so far: to /push and from /pull. */
  readonly sentBytes: number;
  readonly fetchedBytes: number;
  /** As when the process is killed: nothing it began comes to an end for it. Resolves once the server is done with all of it. */
  cut(): Promise<void>;
  settled(): Promise<void>;
};

type NetworkDeps = {
  readonly server: () => SimServer;
  readonly ticket: string;
  /** Before each request; may run whatever else happens at that moment. Throws when the process is gone. */
  readonly before: (call: NetworkCall) => Promise<NetworkFault | null>;
  /** After the server has acted on it, before the client hears of it. */
  readonly after: (call: NetworkCall) => Promise<void>;
};

const WRONG_BYTE_ROUTES = new Set(['/v1/pull']); // whose bytes are checked against digests; nothing else could notice without TLS
const SETTLE_MS = 30_000; // real time: only a defect makes anything wait this long, however busy the machine is

/** The client's connection to the simulated server: the real handlers are reached without a socket, and faults happen on the way. */
export function openSimNetwork(deps: NetworkDeps): SimNetwork {
  const running = new Set<Promise<unknown>>();
  const bodies = new Set<Readable>();
  const counted = { sent: 0, fetched: 0 };
  let closed = false;

  async function stream(method: Method, route: string, options: StreamOptions = {}): Promise<Exchange> {
    if (closed) throw new AppError('cancelled', 'the client is closed');
    const call = { method, route };
    const fault = await deps.before(call);
    if (fault?.kind === 'drop' || fault?.kind === 'partition') throw unreachable();
    if (fault?.kind === 'portal') throw new AppError('server_unreachable', 'answered 200, and not as a Driftless server does');
    if (fault?.kind === 'refuse' && !(fault.code === 'ticket_expired' && !isStreamed(options.body)))
      throw new AppError(fault.code, 'refused');
    if (fault?.kind === 'restart') await deps.server().restart();
    const body = fault?.kind === 'duplicate' && options.body !== undefined ? await gather(options.body) : options.body;
    const first = await send(method, route, { ...options, body }, fault);
    if (fault?.kind === 'duplicate') await (await send(method, route, { ...options, body }, null)).body.toArray();
    const reply = await readWhole(first);
    if (route === '/v1/pull') counted.fetched += reply.length;
    await deps.after(call);
    if (fault?.kind === 'drop_reply' || fault?.kind === 'cut_body') throw unreachable();
    if (first.status >= 400) throw problemOf(first.status, reply);
    return { status: first.status, headers: first.headers, body: faultyReply(reply, route, fault) };
  }

  /** @returns the answer, its body not read yet */
  async function send(method: Method, route: string, options: StreamOptions, fault: NetworkFault | null): Promise<Exchange> {
    const payload = options.body === undefined ? undefined : requestBody(options.body, route, fault);
    const search = queryText(options.query);
    const request: InjectOptions = {
      method,
      url: `${route}${search}`,
      headers: { authorization: `Bearer ${deps.ticket}`, ...options.headers },
      payloadAsStream: true,
      ...(payload === undefined ? {} : { payload }),
    };
    const answer = await deps
      .server()
      .app.inject(request as InjectOptions & { payloadAsStream: true })
      .catch((error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'FST_ERR_REOPENED_CLOSE_SERVER') throw unreachable(); // in the middle of a restart
        throw error;
      });
    const { headers } = answer;
    const known = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]),
    );
    return { status: answer.statusCode, headers: known, body: answer.stream() };
  }

  function requestBody(body: Buffer | AsyncIterable<Uint8Array>, route: string, fault: NetworkFault | null): Buffer | Readable {
    if (Buffer.isBuffer(body) && fault === null) return body;
    const pieces = Buffer.isBuffer(body) ? Readable.from([body]) : body;
    const readable = Readable.from(
      faultyBody(pieces, fault, (bytes) => {
        if (route === '/v1/push') counted.sent += bytes;
      }),
      { objectMode: false },
    );
    bodies.add(readable);
    readable.once('close', () => bodies.delete(readable));
    readable.on('error', () => undefined); // who reads it is told; nobody may have begun to
    return readable;
  }

  function tracked<T>(work: Promise<T>): Promise<T> {
    running.add(work);
    const over = (): void => void running.delete(work);
    work.then(over, over);
    return work;
  }

  async function settled(): Promise<void> {
    while (running.size > 0) await withinRealTime(Promise.allSettled([...running]));
  }

  return {
    get sentBytes() {
      return counted.sent;
    },
    get fetchedBytes() {
      return counted.fetched;
    },
    stream: (method, route, options) => tracked(stream(method, route, options)),
    async json<T>(
      schema: ZodType<T> | null,
      method: Method,
      route: string,
      { query, body }: { query?: Query | undefined; body?: unknown } = {},
    ) {
      const sent = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) };
      const answer = await tracked(stream(method, route, { query, ...sent }));
      const content = await buffer(answer.body);
      if (schema === null) return undefined as T;
      return schema.parse(JSON.parse(content.toString()));
    },
    async cut() {
      closed = true;
      for (const body of bodies) body.destroy(new Error('the process is gone'));
      await settled();
    },
    settled,
    async close() {
      closed = true;
      for (const body of bodies) body.destroy(new Error('the client is closed'));
    },
  };
}

function isStreamed(body: StreamOptions['body']): boolean {
  return body !== undefined && !Buffer.isBuffer(body);
}

async function gather(body: Buffer | AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body;
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** Ends with an error after a part of the bytes; how many there are in all is not known before, so a cut is after 1 byte to 16 KiB. */
async function* faultyBody(
  pieces: AsyncIterable<Uint8Array>,
  fault: NetworkFault | null,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let left = fault?.kind === 'cut_body' ? Math.ceil(2 ** (fault.at * 14)) : Number.POSITIVE_INFINITY;
  for await (const piece of pieces) {
    count(piece.length);
    if (piece.length >= left) {
      yield Buffer.from(piece.subarray(0, left));
      throw new Error('the connection broke');
    }
    left -= piece.length;
    yield Buffer.from(piece);
  }
}

async function readWhole({ body }: Exchange): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of body) pieces.push(piece);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'LIGHT_ECONNRESET')) throw error;
  }
  return Buffer.concat(pieces);
}

function faultyReply(reply: Buffer, route: string, fault: NetworkFault | null): Readable {
  const at = fault !== null && 'at' in fault ? Math.floor(fault.at * reply.length) : 0;
  if (fault?.kind === 'cut_reply') {
    return Readable.from(
      (async function* () {
        yield reply.subarray(0, at);
        throw unreachable();
      })(),
      { objectMode: false },
    );
  }
  if (fault?.kind === 'wrong_byte' && WRONG_BYTE_ROUTES.has(route) && reply.length > 0) {
    const wrong = Buffer.from(reply);
    wrong[at] = (wrong[at] ?? 0) ^ 1;
    return Readable.from([wrong], { objectMode: false });
  }
  return Readable.from(reply.length === 0 ? [] : [reply], { objectMode: false });
}

function problemOf(status: number, reply: Buffer): AppError {
  const document: unknown = JSON.parse(reply.toString());
  const code = typeof document === 'object' && document !== null && 'code' in document ? document.code : undefined;
  return new AppError(isErrorCode(code) ? (code satisfies ErrorCode) : 'internal', `the server answered ${status}: ${reply.toString()}`);
}

function queryText(query: Query | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(name, String(value));
  const encoded = search.toString();
  return encoded === '' ? '' : `?${encoded}`;
}

function unreachable(): AppError {
  return new AppError('server_unreachable', 'the connection to the server was lost');
}

async function withinRealTime(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('a request does not come to an end')), SETTLE_MS);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
