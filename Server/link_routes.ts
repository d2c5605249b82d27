import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { LinkBody, LinkId, LinkLog, LinksPage, LinksQuery, MadeLink } from '../Models/rest_links.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Links } from '../Storage/links.ts';
import { createAttempts } from './attempts.ts';
import type { Authenticate } from './authenticate.ts';
import { NOTHING, PROBLEMS } from './openapi.ts';
import { restLink, restLinkAccess } from './rest_link_shapes.ts';
import { type LinkPasswords, newToken, tokenHash } from './visits/link_secrets.ts';

export type LinkRouteDeps = {
  readonly links: Pick<Links, 'create' | 'managed' | 'revoke' | 'accesses'>;
  readonly linkPasswords: Pick<LinkPasswords, 'hash'>;
  readonly authenticate: Authenticate;
  readonly monotonicMs: () => number;
};

/** Making public links and managing them; what visitors use is in visit_routes.ts. */
export function registerLinkRoutes(plain: FastifyInstance, { links, linkPasswords, authenticate, monotonicMs }: LinkRouteDeps): void {
  // Revoking is never refused: each link that was made is revoked, and told to be, once.
  const makings = createAttempts({ most: LIMITS.linksMadeMax, restoreMs: LIMITS.linkRestoreMs }, monotonicMs);
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.post(
    ROUTES.links,
    { schema: { summary: 'Make a public link to a file or folder', body: LinkBody, response: { 200: MadeLink, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, mode, password, expiresInSeconds, usesMax } = request.body;
      if (makings.take(principal.userId) > 0) throw new AppError('too_many_requests', 'you have made very many links; try again later');
      const token = newToken();
      const link = await links.create(principal, {
        tokenHash: tokenHash(token),
        path,
        mode,
        password: password === undefined ? null : await linkPasswords.hash(password, principal.userId),
        expiresAtMs: expiresInSeconds === undefined ? null : Date.now() + expiresInSeconds * 1000,
        usesMax: usesMax ?? null,
      });
      return { ...restLink(link), token };
    },
  );
  app.get(
    ROUTES.links,
    {
      schema: {
        summary: 'Your public links, and all that show a shared folder of yours',
        querystring: LinksQuery,
        response: { 200: LinksPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      const { path, after, limit } = request.query;
      const page = await links.managed(principal, { path: path ?? null, after: after ?? null, limit });
      return { links: page.links.map(restLink), next: page.next };
    },
  );
  app.delete(
    `${ROUTES.links}/:id`,
    { schema: { summary: 'Revoke a link, at once', params: LinkId, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await links.revoke((await authenticate(request)).principal, request.params.id);
      return reply.code(204).send(null);
    },
  );
  app.get(
    `${ROUTES.links}/:id/log`,
    { schema: { summary: 'Who used a link', params: LinkId, response: { 200: LinkLog, ...PROBLEMS } } },
    async (request) => {
      const accesses = await links.accesses((await authenticate(request)).principal, request.params.id);
      return { accesses: accesses.map(restLinkAccess) };
    },
  );
}
