import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LIMITS } from '../Models/limits.ts';
import { isEventUpgrade } from './events/events_routes.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a body that is answered while it comes: whether the client waits for an answer now. Such a client also has other things to do in between. */
    owes: (() => boolean) | null;
  }
}

type Flow = { bytes: number; sinceMs: number };
const RATES = {
  body: { windowMs: LIMITS.bodyWindowMs, bytesMin: (LIMITS.bytesPerSecondMin * LIMITS.bodyWindowMs) / 1000 },
  answeredBody: { windowMs: LIMITS.answerWindowMs, bytesMin: (LIMITS.bytesPerSecondMin * LIMITS.bodyWindowMs) / 1000 },
  answer: { windowMs: LIMITS.answerWindowMs, bytesMin: (LIMITS.bytesPerSecondMin * LIMITS.answerWindowMs) / 1000 },
} as const;

/**
 * Cuts connections on which a body comes, or an answer is taken, so slowly that it holds its place for nothing: one byte now and then keeps the
 * idle timeout away. Time in which we are the slow side does not count.
 */
export function registerSlowRequests(app: FastifyInstance, monotonicMs: () => number): void {
  const watched = new Map<FastifyRequest, { readonly body: Flow; readonly answer: Flow }>();
  app.decorateRequest('owes', null);
  app.addHook('onRequest', (request, reply, done) => {
    if (!isEventUpgrade(request.raw)) {
      const sinceMs = monotonicMs();
      const { bytesRead, bytesWritten } = request.raw.socket;
      watched.set(request, { body: { bytes: bytesRead, sinceMs }, answer: { bytes: bytesWritten, sinceMs } });
      reply.raw.once('close', () => watched.delete(request));
    }
    done();
  });

  /** @param bytes so far. @param waiting for the other side @returns true when too few came for too long */
  function isSlow(kind: keyof typeof RATES, flow: Flow, bytes: number, waiting: boolean): boolean {
    const atMs = monotonicMs();
    const { windowMs, bytesMin } = RATES[kind];
    if (!waiting || !(bytes - flow.bytes < bytesMin)) {
      flow.bytes = bytes;
      flow.sinceMs = atMs;
      return false;
    }
    return atMs - flow.sinceMs >= windowMs;
  }

  function check(): void {
    for (const [request, { body, answer }] of watched) {
      const { raw, routeOptions, owes } = request;
      const { socket } = raw;
      if (socket === null || socket.destroyed) continue;
      // what came and was not read is there: then the next byte is not waited for
      const waitsForBody = !raw.complete && raw.readableLength === 0 && owes?.() !== true;
      const slow =
        isSlow(owes === null ? 'body' : 'answeredBody', body, socket.bytesRead, waitsForBody) ||
        isSlow('answer', answer, socket.bytesWritten - socket.writableLength, socket.writableLength > 0);
      if (!slow) continue;
      request.log.info({ route: routeOptions.url ?? null, user: request.userId }, 'a connection was too slow');
      socket.destroy();
    }
  }

  const checking = setInterval(check, LIMITS.rateCheckMs).unref();
  app.addHook('onClose', async () => clearInterval(checking));
}
