import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'undici';
import { AppError, isErrorCode } from '../Models/errors.ts';
import { isEndReason } from '../Models/session_ends.ts';
import { type Access, AUTHORITIES, type Trust, trustOf } from './http_connect.ts';
import { type Exchange, type ExchangeRequest, exchange, isLostConnection, openPool } from './http_exchange.ts';

export type Method = ExchangeRequest['method'];
export type Query = Readonly<Record<string, string | number | undefined>>;
export type StreamOptions = {
  readonly query?: Query | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Buffer | AsyncIterable<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
};
export type HttpOptions = {
  readonly baseUrl: string;
  /** A ticket that is good now. */
  readonly ticket: () => Promise<string>;
  /** A ticket newer than the one the server just refused. */
  readonly refresh: () => Promise<string>;
  /** Whose certificate is believed; without it whatever authorities vouch for. */
  readonly trust?: Trust;
  /** How long neither side may move a byte, ms. */
  readonly idleMs?: number;
};

/** What an answer must be: a schema of Models/rest.ts, or something smaller that reads the same. */
export type AnswerShape<T> = {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false; readonly error: unknown };
};

/** One server, one pool of connections. All methods throw AppError: the server's own code, `server_unreachable`, `server_certificate_changed`, `cancelled`, `internal`. */
export type Http = {
  /** @param schema what the answer must be; `null` where the answer says nothing. @throws `protocol_mismatch` when it is something else */
  json<T>(
    schema: AnswerShape<T> | null,
    method: Method,
    route: string,
    options?: { query?: Query | undefined; body?: unknown },
  ): Promise<T>;
  /** Resolves when the answer's head is there, which may be before the request's body was sent. Only an answer below 400 resolves. */
  stream(method: Method, route: string, options?: StreamOptions): Promise<Exchange>;
  /** Ends every connection; what still runs fails with `cancelled`. */
  close(): Promise<void>;
};

const IDLE_MS = 120_000;
const ATTEMPTS_MAX = 3;
const FIRST_PAUSE_MS = 50;
const PROBLEM_BYTES_MAX = 64 * 1024;
const JSON_BYTES_MAX = 64 * 1024 * 1024; // a page of the most entries with the longest paths fits

/** As a session has it. */
export function httpFor(access: Access): Http {
  return createHttp({
    baseUrl: access.serverUrl,
    ticket: () => access.ticket(),
    refresh: () => access.refresh(),
    trust: trustOf(access),
  });
}

export function createHttp(options: HttpOptions): Http {
  const { origin, pathname } = new URL(options.baseUrl);
  const prefix = pathname.replace(/\/+$/, '');
  let pool: Pool | undefined;
  let closed = false;

  /** The same request again while it is a GET whose connection was lost: nothing was changed by it. */
  async function send(request: ExchangeRequest): Promise<Exchange> {
    for (let attempt = 1; ; attempt += 1) {
      if (closed) throw new AppError('cancelled', 'the client is closed');
      pool ??= openPool(origin, options.trust ?? AUTHORITIES);
      try {
        return await exchange(pool, request);
      } catch (error) {
        const again = request.method === 'GET' && attempt < ATTEMPTS_MAX && error instanceof AppError && isLostConnection(error.cause);
        if (!again) throw error;
        await delay(FIRST_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }

  async function authorized(request: ExchangeRequest): Promise<Exchange> {
    const ticket = await options.ticket();
    const answer = await send(withTicket(request, ticket));
    if (answer.status < 400) return answer;
    const problem = await readProblem(answer, origin);
    if (problem.code !== 'ticket_expired' || !isRepeatable(request.body)) throw problem;
    const current = await options.ticket();
    const second = await send(withTicket(request, current === ticket ? await options.refresh() : current));
    if (second.status < 400) return second;
    throw await readProblem(second, origin);
  }

  function stream(method: Method, route: string, { query, headers, body, signal }: StreamOptions = {}): Promise<Exchange> {
    const path = `${prefix}${route}${queryText(query)}`;
    return authorized({ origin, method, path, headers: { ...headers }, body, signal, idleMs: options.idleMs ?? IDLE_MS });
  }

  return {
    stream,
    async json<T>(
      schema: AnswerShape<T> | null,
      method: Method,
      route: string,
      { query, body }: { query?: Query | undefined; body?: unknown } = {},
    ) {
      const sent = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) };
      const answer = await stream(method, route, { query, ...sent });
      const content = await readText(answer, JSON_BYTES_MAX);
      return parseAnswer(schema, content, route);
    },
    async close() {
      closed = true;
      await pool?.destroy(new AppError('cancelled', 'the client was closed'));
    },
  };
}

function withTicket(request: ExchangeRequest, ticket: string): ExchangeRequest {
  return { ...request, headers: { authorization: `Bearer ${ticket}`, ...request.headers } };
}

function isRepeatable(body: ExchangeRequest['body']): boolean {
  return body === undefined || Buffer.isBuffer(body);
}

function queryText(query: Query | undefined): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(name, String(value));
  const encoded = search.toString();
  return encoded === '' ? '' : `?${encoded}`;
}

function parseAnswer<T>(schema: AnswerShape<T> | null, content: string, route: string): T {
  if (schema === null) return undefined as T;
  const parsed = schema.safeParse(parseJson(content));
  if (parsed.success) return parsed.data;
  throw new AppError('protocol_mismatch', `the server's answer to ${route} is not what this client understands`, { cause: parsed.error });
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function readText(answer: Exchange, bytesMax: number): Promise<string> {
  let bytes = 0;
  const bounded = async function* (): AsyncGenerator<Buffer> {
    for await (const piece of answer.body) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new AppError('protocol_mismatch', 'the answer of the server is too long');
      yield piece;
    }
  };
  return text(bounded());
}

/** The typed error in an RFC 9457 problem document; parsed by hand, so that a command that fails need not load zod. */
async function readProblem(answer: Exchange, origin: string): Promise<AppError> {
  const type = String(answer.headers['content-type'] ?? '');
  const document = parseJson(await readText(answer, PROBLEM_BYTES_MAX));
  if (!/^application\/(problem\+)?json\b/.test(type) || typeof document !== 'object' || document === null || !('code' in document)) {
    return new AppError('server_unreachable', `${origin} answered ${answer.status}, and not as a Driftless server does`);
  }
  const { code, detail, title, reason } = document as { code: unknown; detail?: unknown; title?: unknown; reason?: unknown };
  const message = [detail, title].find((part) => typeof part === 'string' && part !== '') ?? `the server answered ${answer.status}`;
  if (isErrorCode(code)) return new AppError(code, String(message), { reason: isEndReason(reason) ? reason : undefined });
  return new AppError('internal', `${message} (${String(code).slice(0, 64)})`);
}
