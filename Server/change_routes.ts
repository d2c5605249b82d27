import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { ChangesPage, ChangesQuery } from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Metadata } from '../Storage/metadata.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';
import { restChange } from './rest_shapes.ts';

export type ChangeRouteDeps = { readonly metadata: Pick<Metadata, 'changes'>; readonly authenticate: Authenticate };

/** The journal of everything the caller can read. */
export function registerChangeRoutes(app: FastifyInstance, { metadata, authenticate }: ChangeRouteDeps): void {
  app
    .withTypeProvider<ZodTypeProvider>()
    .get(
      ROUTES.changes,
      { schema: { summary: 'What changed since a cursor', querystring: ChangesQuery, response: { 200: ChangesPage, ...PROBLEMS } } },
      async (request) => {
        const { principal } = await authenticate(request);
        const { changes, cursor, more } = await metadata.changes(principal, {
          after: request.query.after ?? null,
          limit: request.query.limit,
        });
        return { changes: changes.map(restChange), cursor, more };
      },
    );
}
