import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { addressGroup } from '../../Models/addresses.ts';
import { AppError, assertNever } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { allowsDownload, LINK_PREFIX } from '../../Models/links.ts';
import type { Entry } from '../../Models/operations.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Audit } from '../../Storage/audit.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { Links } from '../../Storage/links.ts';
import type { Manifest, Metadata } from '../../Storage/metadata.ts';
import { whileLive } from '../authenticate.ts';
import type { ByteRange } from '../byte_range.ts';
import { answerContent, describeContent } from '../content_answer.ts';
import { contentHeaders } from '../content_headers.ts';
import { readContent } from '../content_stream.ts';
import { BYTES, PROBLEMS } from '../openapi.ts';
import { createPlaces, type Places } from '../turns.ts';
import type { LinkPasswords } from './link_secrets.ts';
import { answerRefusals, sendPage, sendText, wants } from './visit_answers.ts';
import { entriesOf, listingJson, listingText } from './visit_listings.ts';
import { dropPage, filePage, folderPage } from './visit_pages.ts';
import { registerVisitUploads } from './visit_upload_routes.ts';
import { createVisits, GONE, type Visit, type Visits } from './visits.ts';
import { checkZipSize, type ZipSource, zipOf } from './zip_stream.ts';

export type VisitRouteDeps = {
  readonly links: Pick<Links, 'find' | 'begin' | 'end' | 'undo'>;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly linkPasswords: Pick<LinkPasswords, 'matches'>;
  readonly metadata: Pick<Metadata, 'stat' | 'manifests' | 'readFolders' | 'locate' | 'have' | 'recordChunks' | 'commit'>;
  readonly chunks: Pick<ChunkStore, 'append' | 'read'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly monotonicMs: () => number;
};
type Deps = VisitRouteDeps & { readonly visits: Visits; readonly zipPlaces: Places };

const VIEWS = ['page', 'json', 'text', 'file', 'preview', 'zip'] as const;
type View = (typeof VIEWS)[number];
const VisitQuery = z.object({ as: z.enum(VIEWS).optional().describe('What to answer with; by Accept where nothing is said') });
const VisitParams = z.object({ token: z.string(), '*': z.string().optional() });

/** What visitors of public links use: no ticket, but all of it through `Visits.enter`. */
export async function registerVisitRoutes(app: FastifyInstance, given: VisitRouteDeps): Promise<void> {
  const deps: Deps = {
    ...given,
    visits: createVisits(given),
    zipPlaces: createPlaces({ most: LIMITS.zipsMax, each: LIMITS.zipsPerVisitorMax }),
  };
  await app.register(async (scope) => {
    answerRefusals(scope);
    for (const url of [`${LINK_PREFIX}/:token`, `${LINK_PREFIX}/:token/*`]) {
      for (const method of ['GET', 'HEAD'] as const) {
        scope.withTypeProvider<ZodTypeProvider>().route({
          method,
          url,
          config: { public: true, stream: true },
          schema: {
            summary: 'What a public link leads to: a page, a listing, content or a zip',
            params: VisitParams,
            querystring: VisitQuery,
            response: { 200: BYTES, ...PROBLEMS },
            hide: method === 'HEAD' || url.endsWith('*'),
          },
          handler: (request, reply) => show(request, reply, deps, request.query.as),
        });
      }
    }
    registerVisitUploads(scope, deps);
  });
}

async function show(request: FastifyRequest, reply: FastifyReply, deps: Deps, asked: View | undefined): Promise<FastifyReply> {
  const visit = await deps.visits.enter(request);
  if (visit.link.usedUp) return sendRest(request, reply, deps, { visit, asked });
  const entry = await entryAt(deps, visit);
  const view = asked ?? usualView(request, visit, entry);
  checkAllowed(visit, entry, view);
  switch (view) {
    case 'file':
      return sendFile(request, reply, deps, visit);
    case 'preview':
      return sendPreview(request, reply, deps, { visit, entry });
    case 'zip':
      return sendZip(request, reply, deps, { visit, entry });
    case 'page':
    case 'json':
    case 'text':
      return sendView(request, reply, deps, { visit, entry, view });
    default:
      return assertNever(view);
  }
}

/** @throws AppError `not_found`, also for a symlink, and for whatever is below a link that only takes files in */
async function entryAt({ metadata }: Pick<Deps, 'metadata'>, { maker, path, link, below }: Visit): Promise<Entry> {
  const [entry] = link.mode === 'upload' && below.length > 0 ? [] : await metadata.stat(maker, [path]);
  if (entry == null || entry.kind === 'symlink') throw new AppError('not_found', 'there is nothing at this path');
  return entry;
}

function usualView(request: FastifyRequest, { link }: Visit, entry: Entry): View {
  const wanted = wants(request);
  if (wanted !== 'any') return wanted;
  if (entry.kind === 'folder') return 'text';
  return allowsDownload(link.mode) ? 'file' : 'preview';
}

function checkAllowed({ link }: Visit, entry: Entry, view: View): void {
  if ((view === 'file' || view === 'zip') && !allowsDownload(link.mode)) throw new AppError('forbidden', 'this link allows no download');
  if (view === 'preview' && link.mode === 'upload') throw new AppError('forbidden', 'this link shows nothing');
  if (view === 'zip' && entry.kind !== 'folder') throw new AppError('not_a_folder', 'a zip is made of a folder');
  if ((view === 'file' || view === 'preview') && entry.kind !== 'file') throw new AppError('not_a_file', 'this is a folder');
}

type Shown = { readonly visit: Visit; readonly entry: Entry };

async function sendView(request: FastifyRequest, reply: FastifyReply, deps: Deps, shown: Shown & { view: 'page' | 'json' | 'text' }) {
  const { visit, entry, view } = shown;
  // what counts is never given out unasked: a page of a file whose uses are limited does not begin with it
  const previewed = view === 'page' && entry.kind === 'file' && visit.link.usesMax === null;
  if (previewed && request.method === 'GET') return sendPreviewPage(request, reply, deps, shown);
  if (request.method === 'GET') await deps.visits.begin(visit, { action: 'view', content: null, joins: true, counts: false });
  if (view === 'page' && entry.kind === 'file') return sendPage(request, reply, filePage(visit, entry, null));
  const isDrop = visit.link.mode === 'upload';
  if (view === 'page' && isDrop) return sendPage(request, reply, dropPage(visit, []));
  const entries = isDrop || entry.kind === 'file' ? nothing() : entriesOf(deps.metadata, visit, visit.path);
  if (view === 'page') return sendPage(request, reply, folderPage(visit, entries, []));
  reply.type(view === 'json' ? 'application/json; charset=utf-8' : 'text/plain; charset=utf-8');
  return sendText(request, reply, view === 'json' ? listingJson(visit, entry, entries) : listingText(visit, entry, entries));
}

async function* nothing(): AsyncGenerator<never> {
  yield* [];
}

async function manifestOf({ metadata }: Deps, { maker, path }: Visit): Promise<Manifest> {
  const [manifest] = await metadata.manifests(maker, [path]);
  if (manifest == null) throw new AppError('not_found', 'there is nothing at this path');
  return manifest;
}

/** Of a folder's entry a name is known, of what the link leads to only where it is. */
function named(visit: Visit, manifest: Manifest): Manifest {
  return { ...manifest, path: `/${visit.below.at(-1) ?? visit.link.name}` };
}

async function sendFile(request: FastifyRequest, reply: FastifyReply, deps: Deps, visit: Visit): Promise<FastifyReply> {
  const manifest = await manifestOf(deps, visit);
  return answerContent(request, reply, named(visit, manifest), async (range, isPart) => {
    const access = await beginDownload(deps, visit, manifest, isPart);
    return watched(request, deps, { visit, access, source: readContent(deps, visit.maker, manifest, range) });
  });
}

function beginDownload({ visits }: Deps, visit: Visit, { digest }: Manifest, joins: boolean): Promise<number> {
  return visits.begin(visit, { action: 'download', content: digest.toString('hex'), joins, counts: true });
}

/** Of a link without uses left: more of what was begun. Whoever began nothing is told nothing, not even what is there. */
async function sendRest(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Deps,
  { visit, asked }: { visit: Visit; asked: View | undefined },
): Promise<FastifyReply> {
  const isFile = asked === 'file' || (asked === undefined && wants(request) === 'any');
  const [manifest] = isFile && allowsDownload(visit.link.mode) ? await deps.metadata.manifests(visit.maker, [visit.path]) : [];
  if (manifest == null) throw new AppError('not_found', GONE);
  const access = await beginDownload(deps, visit, manifest, true);
  return answerContent(request, reply, named(visit, manifest), (range) =>
    watched(request, deps, { visit, access, source: readContent(deps, visit.maker, manifest, range) }),
  );
}

/** Ends as soon as the link does, and notes how much was given out. */
function watched(
  request: FastifyRequest,
  { visits, links }: Deps,
  { visit, access, source }: { visit: Visit; access: number; source: AsyncIterable<Uint8Array> },
): Readable {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    try {
      for await (const piece of whileLive(source, visits.watch(visit))) {
        yield piece;
        bytes += piece.length;
      }
    } finally {
      await links
        .end(visit.link.id, access, bytes)
        .catch((err: unknown) => request.log.warn({ err }, 'the end of an access was not noted'));
    }
  }
  return Readable.from(pieces(), { objectMode: false });
}

async function beginPreview(deps: Deps, visit: Visit, manifest: Manifest, joins: boolean): Promise<ByteRange & { access: number }> {
  const end = Math.min(manifest.size, LIMITS.previewBytes);
  const content = manifest.digest.toString('hex');
  return { start: 0, end, access: await deps.visits.begin(visit, { action: 'preview', content, joins, counts: true }) };
}

/** Neither ETag nor range: of a file that is only previewed nobody learns more, not even whether it is one they know. */
async function sendPreview(request: FastifyRequest, reply: FastifyReply, deps: Deps, { visit, entry }: Shown): Promise<FastifyReply> {
  if (wants(request) === 'page' && request.method === 'GET') return sendPreviewPage(request, reply, deps, { visit, entry });
  const manifest = await manifestOf(deps, visit);
  describeContent(reply, named(visit, manifest), Math.min(manifest.size, LIMITS.previewBytes));
  if (request.method === 'HEAD') return reply.send();
  const { access, ...range } = await beginPreview(deps, visit, manifest, false);
  return reply.send(watched(request, deps, { visit, access, source: readContent(deps, visit.maker, manifest, range) }));
}

async function sendPreviewPage(request: FastifyRequest, reply: FastifyReply, deps: Deps, { visit, entry }: Shown): Promise<FastifyReply> {
  const manifest = await manifestOf(deps, visit);
  const { access, ...range } = await beginPreview(deps, visit, manifest, visit.link.usesMax === null);
  const pieces = await Array.fromAsync(readContent(deps, visit.maker, manifest, range));
  await deps.links.end(visit.link.id, access, range.end);
  const file = { name: visit.below.at(-1) ?? visit.link.name, size: manifest.size, mtimeUs: entry.mtimeUs };
  return sendPage(request, reply, filePage(visit, file, Buffer.concat(pieces)));
}

async function sendZip(request: FastifyRequest, reply: FastifyReply, deps: Deps, { visit }: Shown): Promise<FastifyReply> {
  const { metadata, zipPlaces } = deps;
  const name = visit.below.at(-1) ?? visit.link.name;
  reply.headers({ ...contentHeaders(`${name}.zip`), 'content-type': 'application/zip' });
  if (request.method === 'HEAD') return reply.send();
  const source: ZipSource = {
    entries: (path) => entriesOf(metadata, visit, path),
    async contents(paths) {
      const manifests = await metadata.manifests(visit.maker, paths);
      return manifests.map((manifest) => manifest && readContent(deps, visit.maker, manifest, { start: 0, end: manifest.size }));
    },
  };
  const leave = zipPlaces(addressGroup(visit.address));
  try {
    await checkZipSize(source, visit.path);
    const access = await deps.visits.begin(visit, { action: 'zip', content: null, joins: false, counts: true });
    const zip = watched(request, deps, { visit, access, source: zipOf(source, { path: visit.path, name }) });
    zip.once('close', leave);
    return reply.send(zip);
  } catch (error) {
    leave();
    throw error;
  }
}
