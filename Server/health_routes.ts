import type { FastifyInstance } from 'fastify';
import { isLoopbackAddress } from '../Models/addresses.ts';
import { AppError } from '../Models/errors.ts';
import { sendProblem } from './http_errors.ts';
import type { Metrics } from './metrics.ts';
import { isLoopbackHost } from './request_rules.ts';

/** What keeps the server from doing its work now; empty when nothing does. Short words, no secrets: anybody may ask. */
export type Readiness = () => Promise<readonly string[]>;

/** For whoever watches the process. No ticket: a load balancer has none. */
export function registerHealthRoutes(app: FastifyInstance, deps: { readiness: Readiness; metrics: Metrics }): void {
  const open = { config: { public: true as const }, schema: { hide: true } };
  app.get('/healthz', open, async () => ({ status: 'alive' }));
  app.get('/readyz', open, async (_request, reply) => {
    const problems = await deps.readiness();
    return reply.code(problems.length === 0 ? 200 : 503).send({ status: problems.length === 0 ? 'ready' : 'not ready', problems });
  });
  app.get('/metrics', open, async (request, reply) => {
    const forwarded = request.headers['x-forwarded-for'] !== undefined || request.headers.forwarded !== undefined;
    const here = isLoopbackAddress(request.ip) && isLoopbackHost(request.headers.host ?? '');
    if (forwarded || !here) return sendProblem(request, reply, new AppError('not_found', 'nothing here'));
    const { type, body } = await deps.metrics.text();
    return reply.type(type).send(body);
  });
}
