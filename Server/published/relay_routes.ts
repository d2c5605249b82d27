import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { splitPath } from '../../Models/names.ts';
import { giveBack } from '../../Models/received_bytes.ts';
import { PublishedContentQuery, RelayQuery } from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { Publications, PublishedFile } from '../../Storage/publications.ts';
import type { Authenticate } from '../authenticate.ts';
import { parseRange } from '../byte_range.ts';
import { contentHeaders } from '../content_headers.ts';
import { sendProblem } from '../http_errors.ts';
import { BYTES, NOTHING, PROBLEMS } from '../openapi.ts';
import type { Relayed, Relays } from './relays.ts';

export type RelayRouteDeps = {
  readonly publications: Pick<Publications, 'find' | 'noteFetch'>;
  readonly relays: Relays;
  readonly authenticate: Authenticate;
};

const LISTENERS = 32; // a stream that is piped into an answer has some of its own
const BODY_TYPE = 'application/octet-stream';

/** Content of published files: from the request of the device that has them into the answer of the one that asked, and nowhere else. */
export function registerRelayRoutes(plain: FastifyInstance, deps: RelayRouteDeps): void {
  registerFetch(plain, deps);
  // in a scope of its own, in which this type of body is read as it comes
  plain.register(async (scope) => {
    scope.removeContentTypeParser(BODY_TYPE);
    scope.addContentTypeParser(BODY_TYPE, (_request, payload, done) => done(null, payload));
    registerAnswer(scope, deps);
  });
}

function registerFetch(plain: FastifyInstance, deps: RelayRouteDeps): void {
  plain.withTypeProvider<ZodTypeProvider>().get(
    ROUTES.publishedContent,
    {
      config: { stream: true },
      schema: {
        summary: 'Content of a published file, from the device of its owner',
        querystring: PublishedContentQuery,
        response: { 200: BYTES, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { principal } = await deps.authenticate(request);
      const { id, path, digest } = request.query;
      const file = await permitted(deps, principal, { id, path });
      if (digest !== undefined && digest !== file.digest.toString('hex'))
        throw new AppError('file_changed', 'another content is announced now');
      const range = parseRange(request.headers.range, file.size);
      if (range === 'unsatisfiable') {
        const problem = new AppError('range_invalid', `the file has ${file.size} bytes`);
        return sendProblem(request, reply, problem, { headers: { 'content-range': `bytes */${file.size}` } });
      }
      const { start, end } = range ?? { start: 0, end: file.size };
      if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${file.size}`);
      const ended = deps.relays.begin(file, principal);
      try {
        return await relay(request, reply, deps, { file, start, length: end - start, by: principal });
      } finally {
        ended();
      }
    },
  );
}

/** @throws AppError `not_found`, `path_invalid`, `name_invalid` */
async function permitted(
  { publications }: RelayRouteDeps,
  principal: Principal,
  file: { readonly id: string; readonly path: string },
): Promise<PublishedFile> {
  splitPath(`/${file.path}`);
  const found = await publications.find(principal, file);
  if (found === null) throw new AppError('not_found', 'no such file is published');
  return found;
}

type Part = { readonly file: PublishedFile; readonly start: number; readonly length: number; readonly by: Principal };

async function relay(request: FastifyRequest, reply: FastifyReply, deps: RelayRouteDeps, part: Part): Promise<FastifyReply> {
  const gone = new AbortController();
  reply.raw.setMaxListeners(LISTENERS).once('close', () => gone.abort());
  const relayed = await deps.relays.ask({ ...part, signal: gone.signal });
  let isWhole = false;
  try {
    await permitted(deps, part.by, wanted(part)); // it may have been taken back while the device was asked
    const note = await deps.publications.noteFetch(part.by, part.file, part);
    describe(reply, part);
    const sent = await giveOn(
      relayed,
      rawAnswer(reply),
      whileAllowed([() => deps.authenticate(request), relayed.assertLive, () => permitted(deps, part.by, wanted(part))], gone, request.log),
    );
    isWhole = sent === part.length;
    await note(sent).catch((err: unknown) => request.log.warn({ err }, 'what was fetched could not be noted'));
  } finally {
    relayed.end(isWhole);
  }
  return reply;
}

function wanted({ file }: Part): { readonly id: string; readonly path: string } {
  return { id: file.publication.id, path: file.path };
}

/** Asks again and again, while bytes flow, whether they still may. */
function whileAllowed(checks: readonly (() => Promise<unknown>)[], gone: AbortController, log: FastifyBaseLogger): AbortSignal {
  const timer = setInterval(() => {
    Promise.all(checks.map((check) => check())).catch((err: unknown) => {
      log.info({ err }, 'a fetch is ended: it is not allowed any more');
      gone.abort();
    });
  }, LIMITS.relayCheckMs).unref();
  gone.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  return gone.signal;
}

/** As fast as the slower side: when one breaks, both are cut. @returns bytes that were given on */
async function giveOn({ body }: Relayed, raw: ServerResponse, signal: AbortSignal): Promise<number> {
  let sent = 0;
  const answer = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      sent += piece.length;
      raw.write(piece, (error) => {
        if (!error) giveBack([piece]);
        done(error);
      });
    },
    final: (done) => void raw.end(done),
  });
  raw.once('close', () => answer.destroy());
  try {
    await pipeline(body, answer, { signal });
  } catch {
    body.destroy(); // the device hears at once that nobody takes the rest
    raw.destroy(); // no part can pass for the whole
  }
  return sent;
}

function describe(reply: FastifyReply, { file, length }: Part): void {
  reply.headers(contentHeaders(file.path.slice(file.path.lastIndexOf('/') + 1)));
  reply
    .header('etag', `"${file.digest.toString('hex')}"`)
    .header('accept-ranges', 'bytes')
    .header('content-length', String(length));
}

/** The answer to be written by hand, with the headers that every answer carries. */
function rawAnswer(reply: FastifyReply): ServerResponse {
  const { raw } = reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.statusCode = reply.statusCode;
  return raw;
}

function registerAnswer(scope: FastifyInstance, { relays, authenticate }: RelayRouteDeps): void {
  scope.withTypeProvider<ZodTypeProvider>().post(
    ROUTES.relay,
    {
      config: { accepts: BODY_TYPE, stream: true },
      schema: {
        summary: 'The bytes that this device was asked for on its event connection',
        querystring: RelayQuery,
        response: { 204: NOTHING, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { socket } = request.raw;
      reply.header('connection', 'close'); // a refusal may come while the device still sends
      const { principal } = await authenticate(request);
      const { id, refused } = request.query;
      if (refused === undefined) {
        const length = Number(request.headers['content-length'] ?? Number.NaN);
        const isWhole = await relays.answer(id, principal, {
          body: request.raw,
          length,
          assertLive: () => authenticate(request),
        });
        if (!isWhole) return cut(socket, reply);
      } else relays.refuse(id, principal, refused);
      return reply.code(204).send(null);
    },
  );
}

/** An answer would be read as one to what the device still sends. */
function cut(socket: Socket, reply: FastifyReply): FastifyReply {
  reply.hijack();
  socket.destroy();
  return reply;
}
