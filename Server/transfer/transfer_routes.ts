import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { DIGEST_BYTES } from '../../Models/chunk_frames.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME_TYPE } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Past } from '../../Models/tree_frames.ts';
import { TreeRequest } from '../../Models/tree_request.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { Metadata } from '../../Storage/metadata.ts';
import { ANSWER_HEADERS, BYTE_HEADERS } from '../answer_headers.ts';
import { type Announced, type Arrival, Arrivals } from '../arrivals.ts';
import { type Authenticate, whileLive } from '../authenticate.ts';
import type { ChangeFanOut } from '../events/events_fan_out.ts';
import { PROBLEMS } from '../openapi.ts';
import { sendPiece } from '../response_stream.ts';
import { createTurns } from '../turns.ts';
import { signatureFrames } from './transfer_delta.ts';
import { endingWithError } from './transfer_errors.ts';
import { type Pulled, pullFrames } from './transfer_pull.ts';
import { servePush } from './transfer_push.ts';
import { treeFrames } from './transfer_tree.ts';

export type TransferRouteDeps = {
  readonly metadata: Metadata;
  /** Commits what a push brings. */
  readonly commitPushed: Metadata['commit'];
  readonly chunks: ChunkStore;
  readonly changes: Pick<ChangeFanOut, 'now' | 'publishArriving'>;
  readonly authenticate: Authenticate;
  readonly log: FastifyBaseLogger;
};

const DIGESTS_TYPE = 'application/octet-stream';
const PushQuery = z.object({
  stream: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
    .describe('Name of this series of operations; with it, repeating an operation number repeats its result'),
});
const PullQuery = z.object({
  bases: z
    .literal('1')
    .optional()
    .describe('Behind each digest that of a chunk the client has, or zeros: what is asked for may come as a patch'),
});
const ArrivingQuery = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) });
const frames = { description: 'Frames, see docs/PROTOCOL.md', content: { [FRAME_TYPE]: { schema: z.any() } } };

/** The binary routes: what a client that moves many files, or long ones, uses instead of one request for each. */
export function registerTransferRoutes(app: FastifyInstance, deps: TransferRouteDeps): void {
  const { metadata, chunks, authenticate, commitPushed } = deps;
  const pushed: Metadata = { ...metadata, commit: commitPushed };
  const held = { bytes: 0 };
  const arrivals = new Arrivals();
  // the body of a push is read as it comes, never gathered
  app.addContentTypeParser(FRAME_TYPE, (_request, payload, done) => done(null, payload));
  app.addContentTypeParser(DIGESTS_TYPE, { parseAs: 'buffer', bodyLimit: LIMITS.pullDigestsMax * DIGEST_BYTES }, (_request, body, done) =>
    done(null, body),
  );
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const inPushTurn = createTurns({ most: LIMITS.pushesMax });
  const inPullTurn = createTurns({ most: LIMITS.pullsMax });

  routes.post(
    ROUTES.push,
    {
      config: { accepts: FRAME_TYPE, stream: true },
      schema: { summary: 'Chunks and operations in one stream', querystring: PushQuery, response: { 200: frames, ...PROBLEMS } },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const { stream } = request.query;
      const id = stream === undefined ? randomBytes(16) : Buffer.from(stream, 'hex');
      const assertLive = (): Promise<unknown> => authenticate(request);
      const pastOf = async (cursor: string): Promise<Past | null> => {
        const at = deps.changes.now();
        const past = await metadata.cursorPast(principal, cursor, id);
        return past === null ? null : { cursor: past, at };
      };
      const arrive = (file: Announced): Arrival | null => {
        const begun = arrivals.begin(principal.userId, file);
        if (begun === null) return null;
        deps.changes.publishArriving(principal.userId, begun.file);
        return begun.arrival;
      };
      const owes = (isOwed: () => boolean): void => {
        request.owes = isOwed;
      };
      const pushDeps = { metadata: pushed, chunks, assertLive, held, pastOf, arrive, owes, log: request.log };
      await inPushTurn(principal.userId, () =>
        servePush(pushDeps, principal, { id, resumed: stream !== undefined }, request.raw, rawAnswer(reply)),
      );
    },
  );

  const digestRoute = { config: { accepts: DIGESTS_TYPE }, bodyLimit: LIMITS.pullDigestsMax * DIGEST_BYTES };

  routes.post(
    ROUTES.have,
    {
      ...digestRoute,
      schema: {
        summary: 'Which of these chunks need not be sent',
        response: {
          200: { description: 'One byte for each digest: 1 means held', content: { [DIGESTS_TYPE]: { schema: z.any() } } },
          ...PROBLEMS,
        },
      },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const held = await metadata.have(principal, readDigests(request.body, LIMITS.haveDigestsMax));
      return reply.type(DIGESTS_TYPE).send(Buffer.from(held.map(Number)));
    },
  );

  routes.post(
    ROUTES.pull,
    {
      ...digestRoute,
      schema: { summary: 'These chunks, in this order', querystring: PullQuery, response: { 200: frames, ...PROBLEMS } },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const digests = readDigests(request.body, LIMITS.pullDigestsMax);
      const pulled = request.query.bases === '1' ? readPairs(digests) : digests.map((digest) => ({ digest, base: null }));
      return inPullTurn(principal.userId, () => sendFrames(request, reply, pullFrames(deps, principal, pulled)));
    },
  );

  routes.get(
    ROUTES.arriving,
    {
      config: { stream: true },
      schema: {
        summary: 'The chunks of a file that another device of the caller is pushing, as they come',
        querystring: ArrivingQuery,
        response: { 200: frames, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      if (reply.raw.destroyed) gone.abort();
      return sendFrames(request, reply, arrivals.follow(principal.userId, request.query.id, chunks, gone.signal));
    },
  );

  routes.post(
    ROUTES.signature,
    {
      ...digestRoute,
      schema: { summary: 'Signatures of these chunks, to send a change as a delta', response: { 200: frames, ...PROBLEMS } },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      return sendFrames(request, reply, signatureFrames(deps, principal, readDigests(request.body, LIMITS.signatureDigestsMax)));
    },
  );

  routes.post(
    ROUTES.tree,
    {
      bodyLimit: LIMITS.treeBodyBytesMax,
      schema: {
        summary: 'Entries, folder paths or manifests of many paths at once',
        body: TreeRequest,
        response: { 200: frames, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      return sendFrames(request, reply, treeFrames(metadata, principal, request.body));
    },
  );

  /** Sends piece by piece; a piece is out of the process before the next one is made. What is short as a whole goes out at once. */
  async function sendFrames(request: FastifyRequest, reply: FastifyReply, source: AsyncGenerator<Uint8Array>): Promise<void> {
    const live = whileLive(source, () => authenticate(request));
    const raw = rawAnswer(reply);
    let held = Buffer.alloc(0);
    for await (const bytes of endingWithError(live, reply.log)) {
      if (!raw.headersSent && held.length + bytes.length <= SHORT_ANSWER_BYTES) {
        held = Buffer.concat([held, bytes]);
        continue;
      }
      if (!raw.headersSent) {
        raw.writeHead(200);
        if (held.length > 0) await sendPiece(raw, held);
      }
      await sendPiece(raw, bytes);
      if (raw.destroyed) return;
    }
    if (raw.headersSent) raw.end();
    else raw.writeHead(200, { 'content-length': held.length }).end(held);
  }
}

const SHORT_ANSWER_BYTES = 8192; // one packet, or a few, and one call of the system's

/** The answer to be written by hand, with the headers that every answer carries. */
function rawAnswer(reply: FastifyReply): ServerResponse {
  const { raw } = reply.type(FRAME_TYPE).hijack();
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    const isForPages = name in ANSWER_HEADERS && !BYTE_HEADERS.has(name);
    if (value !== undefined && !isForPages) raw.setHeader(name, value);
  }
  return raw;
}

/** @throws AppError `request_invalid`, `too_large` */
function readDigests(body: unknown, max: number): Buffer[] {
  if (!Buffer.isBuffer(body) || body.length === 0 || body.length % DIGEST_BYTES !== 0) {
    throw new AppError('request_invalid', `the body is digests of ${DIGEST_BYTES} bytes each, one after the other`);
  }
  if (body.length > max * DIGEST_BYTES) throw new AppError('too_large', `at most ${max} digests in one request`);
  return Array.from({ length: body.length / DIGEST_BYTES }, (_, i) => body.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES));
}

const NO_DIGEST = Buffer.alloc(DIGEST_BYTES);

/** @throws AppError `request_invalid` */
function readPairs(digests: readonly Buffer[]): Pulled[] {
  if (digests.length % 2 !== 0) throw new AppError('request_invalid', 'the body is pairs of digests');
  return Array.from({ length: digests.length / 2 }, (_, i) => {
    const base = digests[2 * i + 1] as Buffer;
    return { digest: digests[2 * i] as Buffer, base: base.equals(NO_DIGEST) ? null : base };
  });
}
