import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { splitPath, writeAnchored } from '../Models/names.ts';
import type { Operation } from '../Models/operations.ts';
import { isoFromMicroseconds, WrittenResult } from '../Models/rest.ts';
import {
  DeedsPage,
  HistoryPageQuery,
  RestoreBody,
  TrashPage,
  TrashQuery,
  UndeleteBody,
  UndeleteResult,
  VersionsPage,
} from '../Models/rest_history.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Act, History, HistoryQuery, Version } from '../Storage/history.ts';
import type { Manifest, Metadata } from '../Storage/metadata.ts';
import type { Authenticate } from './authenticate.ts';
import { commitOne, streamOf } from './commit_one.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds } from './rest_shapes.ts';

export type HistoryRouteDeps = {
  readonly history: Pick<History, 'versions' | 'version' | 'deeds' | 'trash' | 'undelete'>;
  readonly metadata: Pick<Metadata, 'commit'>;
  readonly authenticate: Authenticate;
};

/** Versions, the trash, and who did what. */
export function registerHistoryRoutes(app: FastifyInstance, deps: HistoryRouteDeps): void {
  registerReads(app, deps);
  registerWrites(app, deps);
}

function registerReads(plain: FastifyInstance, { history, authenticate }: HistoryRouteDeps): void {
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
      const { rows, next } = await history.trash(principal, asked(request.query));
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
