import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { SyncStateBody, SyncStateResult } from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { SyncStates } from '../Storage/sync_states.ts';
import type { Authenticate } from './authenticate.ts';
import { PROBLEMS } from './openapi.ts';

export type SyncStateRouteDeps = { readonly syncStates: SyncStates; readonly authenticate: Authenticate };

/** Where a client asks whether its sync index is still the newest copy of itself. */
export function registerSyncStateRoute(app: FastifyInstance, { syncStates, authenticate }: SyncStateRouteDeps): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    ROUTES.syncStates,
    {
      schema: { summary: 'Show how far a sync index has counted', body: SyncStateBody, response: { 200: SyncStateResult, ...PROBLEMS } },
    },
    async (request) => {
      const { principal } = await authenticate(request);
      return { accepted: await syncStates.advance(principal.userId, request.body) };
    },
  );
}
