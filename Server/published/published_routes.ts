import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import {
  AnnounceBody,
  type AudienceBody,
  FetchesPage,
  FetchesQuery,
  PublicationBody,
  PublicationId,
  PublicationResult,
  PublicationsList,
  PublishedPage,
  PublishedParameters,
  type RestPublished,
} from '../../Models/rest_published.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Principal } from '../../Storage/metadata.ts';
import type { Audience, Publications, PublishedFile } from '../../Storage/publications.ts';
import { createAttempts } from '../attempts.ts';
import type { Authenticate } from '../authenticate.ts';
import type { Presence } from '../events/presence.ts';
import { NOTHING, PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds } from '../rest_shapes.ts';
import type { PublishedNews } from './published_news.ts';

export type PublishedRouteDeps = {
  readonly publications: Publications;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  /** Devices by the publication they serve. */
  readonly serving: Pick<Presence, 'isOnline'>;
  readonly news: Pick<PublishedNews, 'tell' | 'tellNow'>;
  readonly authenticate: Authenticate;
  readonly monotonicMs: () => number;
};

/** What devices announce without storing it: announcing, and what there is. */
export function registerPublishedRoutes(plain: FastifyInstance, deps: PublishedRouteDeps): void {
  registerAnnouncing(plain, deps);
  registerListing(plain, deps);
}

function registerAnnouncing(plain: FastifyInstance, deps: PublishedRouteDeps): void {
  const { publications, accounts, news, authenticate, monotonicMs } = deps;
  const announces = createAttempts({ most: LIMITS.announcesMax, restoreMs: LIMITS.announceRestoreMs }, monotonicMs);
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.publications,
    {
      schema: {
        summary: 'Begin to announce files of this device, or announce those of this name to others than before',
        body: PublicationBody,
        response: { 200: PublicationResult, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { name, audience } = request.body;
      return { id: (await publications.open(principal, { name, audience: await audienceOf(accounts, audience) })).id };
    },
  );
  app.post(
    `${ROUTES.publications}/:id/files`,
    {
      bodyLimit: LIMITS.announceBodyBytesMax,
      schema: {
        summary: 'Files that are there now, and files that are gone',
        params: PublicationId,
        body: AnnounceBody,
        response: { 204: NOTHING, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const { id } = request.params;
      if (announces.take(principal.userId) > 0) throw new AppError('too_many_requests', 'too much is announced at once');
      const { files, gone } = request.body;
      const announced = files.map(({ path, size, digest }) => ({ path, size, digest: Buffer.from(digest, 'hex') }));
      await publications.announce(principal, id, { files: announced, gone });
      if (files.length + gone.length > 0) news.tell(id, { change: 'files', files, gone });
      return reply.code(204).send(null);
    },
  );
  app.delete(
    `${ROUTES.publications}/:id`,
    { schema: { summary: 'Announce nothing of it any more', params: PublicationId, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      const { principal } = await authenticate(request);
      const told = await publications.toldOf(request.params.id);
      await publications.withdraw(principal, request.params.id);
      if (told !== null) news.tellNow(told, { change: 'withdrawn' });
      return reply.code(204).send(null);
    },
  );
}

function registerListing(plain: FastifyInstance, { publications, accounts, serving, authenticate }: PublishedRouteDeps): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const isServed = (userId: string, id: string): boolean => serving.isOnline(userId, id);
  app.get(
    ROUTES.publications,
    { schema: { summary: 'What you announce, on all your devices', response: { 200: PublicationsList, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const own = await publications.ofUser(principal);
      return {
        publications: own.map(({ id, name, deviceId, audience, users, files, bytes }) => {
          return { id, name, device: deviceId, online: isServed(principal.userId, id), audience, users: [...users], files, bytes };
        }),
      };
    },
  );
  app.get(
    ROUTES.published,
    {
      schema: {
        summary: 'Files you may fetch from devices',
        querystring: PublishedParameters,
        response: { 200: PublishedPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { id = null, user = null, name = null, own, after = null, limit } = request.query;
      const page = await publications.list(principal, { id, user, name, own: own !== undefined, after, limit });
      const owners = await withAccounts(accounts, page.files);
      const files = page.files.filter(({ publication }) => owners.has(publication.userId));
      return { files: files.map((file) => restPublished(file, principal, isServed)), next: page.next };
    },
  );
  app.get(
    ROUTES.fetches,
    {
      schema: {
        summary: 'Who fetched your files from your devices',
        querystring: FetchesQuery,
        response: { 200: FetchesPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { after = null, limit } = request.query;
      const { fetches, next } = await publications.fetches(principal, { after, limit });
      return {
        fetches: fetches.map(({ digest, atMs, ...fetch }) => ({ ...fetch, digest: digest.toString('hex'), at: isoFromMilliseconds(atMs) })),
        next,
      };
    },
  );
}

/** Ids of the owners whose account is good: what others announced is kept, and shown to nobody meanwhile. */
async function withAccounts(accounts: PublishedRouteDeps['accounts'], files: readonly PublishedFile[]): Promise<Set<string>> {
  const names = new Set(files.map(({ publication }) => publication.userName));
  const found = await Promise.all([...names].map((name) => accounts.findUser(name)));
  return new Set(found.flatMap((user) => (user === null ? [] : [user.id])));
}

function restPublished(
  { publication, path, size, digest, announcedAtMs }: PublishedFile,
  { userId }: Principal,
  isServed: (userId: string, id: string) => boolean,
): z.input<typeof RestPublished> {
  const { id, name, userName, deviceId } = publication;
  return {
    publication: id,
    user: userName,
    device: deviceId,
    name: `${name}/${path}`,
    path,
    size,
    digest: digest.toString('hex'),
    announcedAt: isoFromMilliseconds(announcedAtMs),
    online: isServed(publication.userId, id),
    own: publication.userId === userId,
  };
}

async function audienceOf(accounts: PublishedRouteDeps['accounts'], wanted: AudienceBody): Promise<Audience> {
  if (wanted.kind !== 'users') return wanted;
  const users = await Promise.all(
    wanted.users.map(async (name) => {
      const found = await accounts.findUser(name);
      if (found === null) throw new AppError('user_unknown', `there is no user ${name}`);
      return { id: found.id, name: found.name };
    }),
  );
  return { kind: 'users', users };
}
