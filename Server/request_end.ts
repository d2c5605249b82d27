import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Status of a request whose connection ended before its answer did. */
const BROKEN_OFF = 499;
const SWITCHED = 101;

/** Calls `listener` once for each request, also for one that broke off, was hijacked or became a WebSocket: Fastify's own `onResponse` leaves those out. */
export function onRequestEnd(app: FastifyInstance, listener: (request: FastifyRequest, reply: FastifyReply, status: number) => void): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => listener(request, reply, statusOf(request, reply)));
    done();
  });
}

function statusOf({ ws }: FastifyRequest, { sent, raw }: FastifyReply): number {
  if (raw.writableFinished) return raw.statusCode;
  return ws && sent && !raw.headersSent ? SWITCHED : BROKEN_OFF;
}
