import { buffer } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { splitPath, writeAnchored } from '../../Models/names.ts';
import type { Operation } from '../../Models/operations.ts';
import { isoFromMicroseconds, WrittenResult } from '../../Models/rest.ts';
import {
  DeedsPage,
  DiffQuery,
  HistoryPageQuery,
  PinBody,
  PinQuery,
  RestDiff,
  RestoreBody,
  TrashPage,
  TrashQuery,
  UndeleteBody,
  UndeleteResult,
  VersionsPage,
} from '../../Models/rest_history.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { Act, History, HistoryQuery, Version } from '../../Storage/history.ts';
import type { Manifest, Metadata, Principal } from '../../Storage/metadata.ts';
import type { Authenticate } from '../authenticate.ts';
import { commitOne, streamOf } from '../commit_one.ts';
import { readContent } from '../content_stream.ts';
import { NOTHING, PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';
import type { Turns } from '../turns.ts';
import { textDiffApart } from './text_diff_thread.ts';

export type HistoryRouteDeps = {
  readonly history: Pick<History, 'versions' | 'version' | 'deeds' | 'trash' | 'undelete' | 'pin' | 'unpin'>;
  readonly metadata: Pick<Metadata, 'commit' | 'locate'>;
  readonly chunks: Pick<ChunkStore, 'read'>;
  readonly authenticate: Authenticate;
  readonly inTurn: Turns;
};

/** Versions, the trash, and who did what. */
export function registerHistoryRoutes(app: FastifyInstance, deps: HistoryRouteDeps): void {
  registerReads(app, deps);
  registerWrites(app, deps);
  registerDiff(app, deps);
  registerPins(app, deps);
}

function registerDiff(app: FastifyInstance, deps: HistoryRouteDeps): void {
  app
    .withTypeProvider<ZodTypeProvider>()
    .get(
      ROUTES.diff,
      { schema: { summary: 'How two versions of a text differ', querystring: DiffQuery, response: { 200: RestDiff, ...PROBLEMS } } },
      async (request) => {
        const { principal } = await deps.authenticate(request);
        return deps.inTurn(principal.userId, () => difference(deps, principal, request.query));
      },
    );
}

type DiffRequest = { readonly path: string; readonly from: number; readonly to?: number | undefined };

async function difference(deps: HistoryRouteDeps, principal: Principal, { path, from, to }: DiffRequest) {
  splitPath(path);
  const newest = to ?? (await deps.history.versions(principal, { path, after: null, limit: 1 })).rows[0]?.version ?? from;
  const sides = [];
  for (const version of [from, newest]) {
    const found = await deps.history.version(principal, path, version);
    if (found.size > LIMITS.diffBytesMax) throw new AppError('too_large', `at most ${LIMITS.diffBytesMax} bytes are compared`);
    const whole = { start: 0, end: found.size };
    const content = found.target === null ? await buffer(readContent(deps, principal, found, whole)) : Buffer.from(found.target);
    sides.push({ name: `${path} version ${version}`, content });
  }
  const [before, after] = sides;
  if (before === undefined || after === undefined) throw new AppError('internal', 'two sides are compared');
  return { path, from, to: newest, diff: await textDiffApart(before, after) };
}

function registerPins(plain: FastifyInstance, { history, authenticate }: HistoryRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.pins,
    { schema: { summary: 'Keep a version for ever', body: PinBody, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      splitPath(request.body.path);
      await history.pin(principal, request.body.path, request.body.version);
      return reply.code(204).send(null);
    },
  );
  app.delete(
    ROUTES.pins,
    { schema: { summary: 'Keep it as long as others', querystring: PinQuery, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      splitPath(request.query.path);
      await history.unpin(principal, request.query.path, request.query.version);
      return reply.code(204).send(null);
    },
  );
}

function registerReads(plain: FastifyInstance, { history, authenticate, inTurn }: HistoryRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.versions,
    {
      schema: {
        summary: 'The contents that a file has had, the newest first',
        querystring: HistoryPageQuery,
        response: { 200: VersionsPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { rows, next } = await history.versions(principal, asked(request.query));
      return { versions: rows.map(restVersion), next };
    },
  );
  app.get(
    ROUTES.deeds,
    {
      schema: {
        summary: 'Who did what to it, the newest first; also to what is gone',
        querystring: HistoryPageQuery,
        response: { 200: DeedsPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { rows, next } = await history.deeds(principal, asked(request.query));
      return {
        deeds: rows.map((row) => ({ ...restAct(row), kind: row.kind, path: row.path, from: row.fromPath, version: row.version })),
        next,
      };
    },
  );
  app.get(
    ROUTES.trash,
    {
      schema: {
        summary: 'What was deleted below a path, the newest first in each space',
        querystring: TrashQuery,
        response: { 200: TrashPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { rows, next } = await inTurn(principal.userId, () => history.trash(principal, asked(request.query)));
      return { items: rows.map((row) => ({ ...restAct(row), id: row.nodeId, path: row.path, kind: row.kind, size: row.size })), next };
    },
  );
}

function registerWrites(plain: FastifyInstance, { history, metadata, authenticate }: HistoryRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.restore,
    {
      schema: {
        summary: 'Make an older version the newest one, or a copy of it elsewhere',
        body: RestoreBody,
        response: { 200: WrittenResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, version, to } = request.body;
      splitPath(path);
      if (to !== undefined) splitPath(to);
      const older = await history.version(principal, path, version);
      const operation = writing(older, to ?? path, to === undefined ? 'any' : 'absent');
      const stream = streamOf(request, principal, [path, version, to ?? null]);
      try {
        return { path: to ?? path, ...(await commitOne(metadata, principal, stream, operation)) };
      } catch (error) {
        if (to === undefined || !(error instanceof AppError) || error.code !== 'version_stale') throw error;
        throw new AppError('already_exists', `${to} exists`, { cause: error });
      }
    },
  );
  app.post(
    ROUTES.undelete,
    {
      schema: {
        summary: 'Bring back what was deleted, with all that was in it',
        body: UndeleteBody,
        response: { 200: UndeleteResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, id, to } = request.body;
      if (path !== undefined) splitPath(path);
      if (to !== undefined) splitPath(to);
      return history.undelete(principal, path ?? writeAnchored(id ?? 0), to ?? null);
    },
  );
}

/** What makes this version the content of `path`; its chunks are there. */
function writing(older: Version & Pick<Manifest, 'chunks'>, path: string, base: 'any' | 'absent'): Operation {
  const { size, mtimeUs, mode, digest, chunks, target } = older;
  if (target !== null) return { kind: 'symlink', path, target, mtimeUs, base };
  return { kind: 'put', path, size, mtimeUs, mode, base, digest, chunks };
}

function asked({ path, after, limit }: { path: string; after?: string | undefined; limit: number }): HistoryQuery {
  splitPath(path);
  return { path, after: after ?? null, limit };
}

function restAct({ user, device, operation, reason, atMs }: Act) {
  return { user, device, operation, reason, at: isoFromMilliseconds(atMs) };
}

function restVersion(row: Version) {
  const { version, kind, path, size, mtimeUs, digest, target, pinned, current } = row;
  return {
    ...restAct(row),
    version,
    kind,
    path,
    size,
    mtime: isoFromMicroseconds(mtimeUs),
    digest: digest.toString('hex'),
    target,
    pinned,
    current,
  };
}
