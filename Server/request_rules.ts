import { isIP } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { ANSWER_HEADERS } from './answer_headers.ts';
import type { Authenticate } from './authenticate.ts';
import type { ConnectionLimits } from './connection_limits.ts';
import { sendProblem } from './http_errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answers without a ticket. A route that does not say so needs one. */
    public?: true;
    /** The content types of the request's body, or `any` where it is taken as it comes; `application/json` where nothing is said. */
    accepts?: string | readonly string[];
    /** The body may flow for hours: no deadline for all of it. */
    stream?: true;
  }
  interface FastifyRequest {
    /** Of the checked ticket, for the log; `null` on a public route. */
    userId: string | null;
  }
}

const JSON_TYPE = 'application/json';
const ANY_TYPE = 'any';
const BODY_METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** What holds for each request before its body is looked at. */
export function registerRequestRules(
  app: FastifyInstance,
  deps: {
    readonly authenticate: Authenticate;
    readonly loopbackOnly: boolean;
    readonly connections: ConnectionLimits;
    readonly answerNotFound: (request: FastifyRequest, reply: FastifyReply) => FastifyReply;
  },
): void {
  app.decorateRequest('userId', null);
  app.addHook('onRequest', async (request, reply) => {
    setAnswerHeaders(request, reply);
    if (request.raw.rawHeaders.filter(isHostName).length > 1) throw new AppError('request_invalid', 'a request has one Host');
    if (deps.loopbackOnly && !isLoopbackHost(request.headers.host ?? '')) return refuseHost(request, reply);
    if (request.is404) return deps.answerNotFound(request, reply); // before its body is read
    if (request.routeOptions.config.public !== true) {
      request.userId = (await deps.authenticate(request)).principal.userId;
      deps.connections.known(request.raw.socket);
    }
    checkQuery(request.raw.url ?? '');
    checkBodyKind(request);
    if (request.routeOptions.config.stream !== true) limitBodyTime(request);
  });
}

/** What every answer carries. */
export function setAnswerHeaders(request: FastifyRequest, reply: FastifyReply): void {
  reply.headers(ANSWER_HEADERS).header('request-id', request.id);
}

/** A page of another site whose name resolves to this machine (DNS rebinding) sends its own name as Host. */
function refuseHost(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendProblem(request, reply, new AppError('request_invalid', 'this server answers to loopback names only'), { status: 421 });
}

/** Of names and values in turn, as Node gives them; it drops the second of two, and who stands before us may have taken that one. */
function isHostName(text: string, at: number): boolean {
  return at % 2 === 0 && text.toLowerCase() === 'host';
}

export function isLoopbackHost(header: string): boolean {
  const host = header.replace(/:\d*$/, '').toLowerCase();
  if (host === 'localhost' || host === '[::1]') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/** The query parser leaves what it cannot decode as it is, which would name another file than the one meant. */
function checkQuery(url: string): void {
  const at = url.indexOf('?');
  if (at < 0) return;
  try {
    decodeURIComponent(url.slice(at + 1));
  } catch (cause) {
    throw new AppError('request_invalid', 'the query is not valid percent-encoded UTF-8', { cause });
  }
}

function checkBodyKind(request: FastifyRequest): void {
  if (!hasBody(request)) return;
  if (!BODY_METHODS.has(request.method)) throw new AppError('request_invalid', `${request.method} takes no body here`);
  const wanted = [request.routeOptions.config.accepts ?? JSON_TYPE].flat();
  const [type = '', ...parameters] = (request.headers['content-type'] ?? '').split(';').map((part) => part.trim().toLowerCase());
  const plain = type !== JSON_TYPE || parameters.every((parameter) => parameter === 'charset=utf-8');
  const fits = wanted.includes(ANY_TYPE) || (wanted.includes(type) && plain);
  if (!fits) throw new AppError('content_type_unsupported', `this takes ${wanted.join(' or ')}`);
  if (request.headers['content-encoding'] !== undefined) {
    throw new AppError('content_type_unsupported', 'a compressed body is not taken here');
  }
}

function hasBody(request: FastifyRequest): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

function limitBodyTime(request: FastifyRequest): void {
  if (!hasBody(request)) return;
  const body = request.raw;
  const timer = setTimeout(() => body.destroy(), LIMITS.requestTimeoutMs).unref();
  body.once('end', () => clearTimeout(timer));
  body.once('close', () => clearTimeout(timer));
}
