import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Status of a request whose connection ended before its answer did. */
const BROKEN_OFF = 499;

/** Calls `listener` once for each request, also for one that broke off or was hijacked: Fastify's own `onResponse` leaves those out. */
export function onRequestEnd(app: FastifyInstance, listener: (request: FastifyRequest, reply: FastifyReply, status: number) => void): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => listener(request, reply, reply.raw.writableFinished ? reply.raw.statusCode : BROKEN_OFF));
    done();
  });
}
