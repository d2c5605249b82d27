import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { splitPath } from '../Models/names.ts';
import type { Operation } from '../Models/operations.ts';
import {
  DeleteQuery,
  FolderBody,
  FromToBody,
  ListQuery,
  PathQuery,
  parseBase,
  RestEntry,
  RestPage,
  WhoAmI,
  WrittenResult,
} from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Metadata } from '../Storage/metadata.ts';
import type { Authenticate } from './authenticate.ts';
import { commitOne, streamOf } from './commit_one.ts';
import { PROBLEMS } from './openapi.ts';
import { isoFromMilliseconds, restEntry } from './rest_shapes.ts';
import type { Turns } from './turns.ts';

export type EntryRouteDeps = {
  readonly metadata: Pick<Metadata, 'epoch' | 'stat' | 'page' | 'commit'>;
  readonly authenticate: Authenticate;
  readonly inSearchTurn: Turns;
};

/** Who you are, what is where, and changes of the tree that move no bytes. */
export function registerEntryRoutes(app: FastifyInstance, deps: EntryRouteDeps): void {
  registerReads(app.withTypeProvider<ZodTypeProvider>(), deps);
  registerWrites(app.withTypeProvider<ZodTypeProvider>(), deps);
}

type ZodApp = ReturnType<typeof withZod>;
function withZod(app: FastifyInstance) {
  return app.withTypeProvider<ZodTypeProvider>();
}

function registerReads(app: ZodApp, { metadata, authenticate, inSearchTurn }: EntryRouteDeps): void {
  app.get(
    ROUTES.whoami,
    { schema: { summary: 'Who the ticket says you are', response: { 200: WhoAmI, ...PROBLEMS } } },
    async (request) => {
      const { claims } = await authenticate(request);
      return {
        user: claims.name,
        role: claims.role,
        device: claims.dev,
        session: claims.sid,
        expiresAt: isoFromMilliseconds(claims.exp * 1000),
        epoch: metadata.epoch,
      };
    },
  );

  app.get(
    ROUTES.entry,
    { schema: { summary: 'One file, folder or symlink', querystring: PathQuery, response: { 200: RestEntry, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      splitPath(request.query.path);
      const [entry] = await metadata.stat(principal, [request.query.path]);
      if (entry === undefined || entry === null) throw new AppError('not_found', 'there is nothing at this path');
      return restEntry(entry);
    },
  );

  app.get(
    ROUTES.list,
    {
      schema: { summary: 'A folder page by page, or a search below it', querystring: ListQuery, response: { 200: RestPage, ...PROBLEMS } },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, search, sort, order, after, limit } = request.query;
      const query = { path, search: search ?? null, sort, descending: order === 'desc', after: after ?? null, limit };
      const read = () => metadata.page(principal, query);
      const page = await (search === undefined ? read() : inSearchTurn(principal.userId, read)); // that looks at all that is below
      return { entries: page.entries.map(restEntry), next: page.next };
    },
  );
}

function registerWrites(app: ZodApp, deps: EntryRouteDeps): void {
  const written = { 200: WrittenResult, ...PROBLEMS };

  app.post(
    ROUTES.folders,
    { schema: { summary: 'Make a folder, and those above it where they are missing', body: FolderBody, response: written } },
    async (request) => perform(request, deps, { kind: 'mkdir', ...request.body, mode: null, mtimeUs: null }, request.body.path),
  );
  for (const kind of ['move', 'copy'] as const) {
    app.post(
      ROUTES[kind],
      { schema: { summary: kind === 'move' ? 'Rename or move' : 'Copy, without moving bytes', body: FromToBody, response: written } },
      async (request) => perform(request, deps, transferOf(kind, request.body), request.body.to),
    );
  }
  app.delete(
    ROUTES.entry,
    { schema: { summary: 'Delete a file, or a folder with what is in it', querystring: DeleteQuery, response: written } },
    async (request) => {
      const { path, base } = request.query;
      return perform(request, deps, { kind: 'delete', path, base: parseBase(base), onlyEmpty: false }, path);
    },
  );
}

function transferOf(kind: 'move' | 'copy', { from, to }: { from: string; to: string }): Operation {
  splitPath(from);
  return kind === 'move' ? { kind, from, to, base: 'any' } : { kind, from, to };
}

async function perform(request: Parameters<Authenticate>[0], deps: EntryRouteDeps, operation: Operation, path: string) {
  const { principal } = await deps.authenticate(request);
  splitPath(path);
  const written = await commitOne(deps.metadata, principal, streamOf(request, principal, [operation]), operation);
  return { path, ...written };
}
