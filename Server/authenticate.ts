import type { FastifyRequest } from 'fastify';
import { AppError } from '../Models/errors.ts';
import type { Revocations } from './revocations.ts';
import type { Session, TicketVerifier } from './tickets.ts';

/** Who asks. @throws AppError `ticket_missing`, `ticket_invalid`, `ticket_expired`, `ticket_revoked`, `storage_unavailable` */
export type Authenticate = (request: FastifyRequest) => Promise<Session>;

/**
 * The one authenticator: a hook runs it for every route that is not marked public, and a route that
 * streams for long asks again: the ticket may run out meanwhile, but a session that was ended is refused.
 */
export function createAuthenticator(deps: { tickets: TicketVerifier; revocations: Pick<Revocations, 'check'> }): Authenticate {
  const known = new WeakMap<FastifyRequest, Session>();
  return async (request) => {
    const session = known.get(request) ?? (await deps.tickets.verify(bearerToken(request.headers.authorization)));
    deps.revocations.check(session.claims.sid);
    known.set(request, session);
    return session;
  };
}

/**
 * What may flow for long, for as long as the caller's session lasts.
 * @param assertLive throws once it was ended
 */
export async function* whileLive<T>(source: AsyncIterable<T>, assertLive: () => Promise<unknown>): AsyncGenerator<T> {
  for await (const piece of source) {
    await assertLive();
    yield piece;
  }
}

function bearerToken(header: string | undefined): string {
  const token = /^bearer +(\S.*)$/i.exec(header ?? '')?.[1];
  if (token === undefined) throw new AppError('ticket_missing', 'this needs a ticket in the header "Authorization: Bearer …"');
  return token;
}
