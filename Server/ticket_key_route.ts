import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { ROUTES } from '../Models/routes.ts';
import { TICKET, TicketKeySet } from '../Models/ticket.ts';
import { PROBLEMS } from './openapi.ts';
import type { TicketKeys } from './tickets.ts';

/** May be kept for half as long as a new key is published before it signs. */
const CACHED = 'public, max-age=30';

/** What another service needs to check a ticket of ours. No ticket: who holds one already has nothing to learn from it. */
export function registerTicketKeyRoute(plain: FastifyInstance, { ticketKeys }: { ticketKeys: Pick<TicketKeys, 'published'> }): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    ROUTES.ticketKeys,
    {
      config: { public: true },
      schema: { summary: 'The public keys of tickets, a JWKS', security: [], response: { 200: TicketKeySet, ...PROBLEMS } },
    },
    async (_request, reply) => {
      reply.header('cache-control', CACHED);
      return { keys: ticketKeys.published.map((key) => ({ ...key, alg: TICKET.algorithm, use: 'sig' as const })) };
    },
  );
}
