import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { splitPath } from '../Models/names.ts';
import { MODE, type Operation } from '../Models/operations.ts';
import { ContentQuery, microsecondsFromIso, parseBase, UploadResult } from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { ChunkStore } from '../Storage/chunk_store.ts';
import type { History } from '../Storage/history.ts';
import type { Manifest, Metadata, Principal } from '../Storage/metadata.ts';
import { type Authenticate, whileLive } from './authenticate.ts';
import type { ByteRange } from './byte_range.ts';
import { commitOne, streamOf } from './commit_one.ts';
import { answerContent, describeContent, etagOf } from './content_answer.ts';
import { readContent } from './content_stream.ts';
import { BYTES, PROBLEMS } from './openapi.ts';
import { createTurns } from './turns.ts';
import { type Received, receiveContent } from './upload.ts';
import { readUploadForm, type UploadForm } from './upload_form.ts';

export type FileRouteDeps = {
  readonly metadata: Pick<Metadata, 'manifests' | 'stat' | 'locate' | 'have' | 'recordChunks' | 'commit'>;
  readonly history: Pick<History, 'version'>;
  readonly chunks: Pick<ChunkStore, 'append' | 'read'>;
  readonly authenticate: Authenticate;
};

/** Content in and out: multipart upload, ranged download, preview. */
export function registerFileRoutes(app: FastifyInstance, deps: FileRouteDeps): void {
  registerUpload(app, deps);
  registerDownload(app, deps);
}

function registerUpload(plain: FastifyInstance, deps: FileRouteDeps): void {
  const inTurn = createTurns({ most: LIMITS.uploadsMax });
  plain.withTypeProvider<ZodTypeProvider>().post(
    ROUTES.files,
    {
      config: { accepts: 'multipart/form-data', stream: true },
      schema: {
        summary: 'Upload a file, and make the folders above it where they are missing',
        response: { 200: UploadResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await deps.authenticate(request);
      return inTurn(principal.userId, async () => {
        const assertLive = (): Promise<unknown> => deps.authenticate(request);
        const form = await readUploadForm(request, (content) => receiveContent(deps, principal, whileLive(content, assertLive)));
        await assertLive();
        return commitUpload(request, deps.metadata, principal, form);
      });
    },
  );
}

async function commitUpload(
  request: FastifyRequest,
  metadata: FileRouteDeps['metadata'],
  principal: Principal,
  { fields, content }: UploadForm<Received>,
) {
  splitPath(fields.path);
  const { size, chunks, unrecorded } = content;
  const digest = content.digest.toString('hex');
  if (fields.size !== undefined && Number(fields.size) !== size) {
    throw new AppError('length_mismatch', `the form says ${fields.size} bytes, ${size} came`);
  }
  if (fields.digest !== undefined && fields.digest !== digest)
    throw new AppError('digest_mismatch', 'the content is not what its digest says');
  const put: Operation = {
    kind: 'put',
    path: fields.path,
    size,
    mtimeUs: fields.mtime === undefined ? Date.now() * 1000 : microsecondsFromIso(fields.mtime),
    mode: fields.executable === 'true' ? MODE.executable : MODE.file,
    base: parseBase(fields.base),
    digest: content.digest,
    chunks,
  };
  const written = await commitOne(metadata, principal, streamOf(request, principal, [fields, size, digest]), put, unrecorded);
  return { path: fields.path, ...written, size, digest };
}

function registerDownload(plain: FastifyInstance, deps: FileRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const schema = { querystring: ContentQuery, response: { 200: BYTES, ...PROBLEMS } };
  for (const method of ['GET', 'HEAD'] as const) {
    app.route({
      method,
      url: ROUTES.files,
      config: { stream: true },
      schema: { ...schema, summary: method === 'GET' ? 'Content of a file, whole or in part' : 'Length and ETag of a file' },
      handler: async (request, reply) => {
        const { principal } = await deps.authenticate(request);
        return sendFile(request, reply, deps, principal, request.query);
      },
    });
  }
  app.get(
    ROUTES.preview,
    { config: { stream: true }, schema: { ...schema, summary: `First ${LIMITS.previewBytes} bytes of a file` } },
    async (request, reply) => {
      const { principal } = await deps.authenticate(request);
      const manifest = await manifestAt(deps, principal, request.query);
      const end = Math.min(manifest.size, LIMITS.previewBytes);
      describeContent(reply, manifest, end);
      reply.header('etag', etagOf(manifest));
      return reply.send(contentStream(request, deps, principal, manifest, { start: 0, end }));
    },
  );
}

async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: FileRouteDeps,
  principal: Principal,
  which: Which,
): Promise<FastifyReply> {
  const manifest = await manifestAt(deps, principal, which);
  return answerContent(request, reply, manifest, (range) => contentStream(request, deps, principal, manifest, range));
}

type Which = { readonly path: string; readonly version?: number | undefined };

/** @throws AppError `path_invalid`, `name_invalid`, `not_found`, `not_a_file` */
async function manifestAt({ metadata, history }: FileRouteDeps, principal: Principal, { path, version }: Which): Promise<Manifest> {
  splitPath(path);
  if (version !== undefined) {
    const older = await history.version(principal, path, version);
    if (older.kind !== 'file') throw new AppError('not_a_file', 'this is not a file');
    return { ...older, path };
  }
  const [manifest] = await metadata.manifests(principal, [path]);
  if (manifest !== undefined && manifest !== null) return manifest;
  const [entry] = await metadata.stat(principal, [path]);
  if (entry === undefined || entry === null) throw new AppError('not_found', 'there is nothing at this path');
  throw new AppError('not_a_file', 'this is not a file');
}

/** Reads as the connection takes it; a failure after the first byte ends the connection, so that no part can pass for the whole. */
function contentStream(request: FastifyRequest, deps: FileRouteDeps, principal: Principal, manifest: Manifest, range: ByteRange): Readable {
  const content = readContent(deps, principal, manifest, range);
  return Readable.from(
    whileLive(content, () => deps.authenticate(request)),
    { objectMode: false },
  );
}
