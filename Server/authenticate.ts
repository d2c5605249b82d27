import type { FastifyRequest } from 'fastify';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import type { Audit } from '../Storage/audit.ts';
import type { Revocations } from './revocations.ts';
import type { Session, TicketVerifier } from './tickets.ts';

/** Who asks. @throws AppError `ticket_missing`, `ticket_invalid`, `ticket_expired`, `ticket_revoked`, `storage_unavailable` */
export type Authenticate = (request: FastifyRequest) => Promise<Session>;

/**
 * The one authenticator: a hook runs it for every route that is not marked public, and a route that
 * streams for long asks again: the ticket may run out meanwhile, but a session that was ended is refused.
 * Tickets that were never good, or are good no more, are written down; that one has run out is nothing that an administrator must know.
 */
export function createAuthenticator({ tickets, revocations, audit }: AuthenticatorDeps): Authenticate {
  const known = new WeakMap<FastifyRequest, Session>();
  return async (request) => {
    let session = known.get(request);
    try {
      session ??= await tickets.verify(bearerToken(request.headers.authorization));
      tickets.assertTrusted(session);
      await revocations.check(session.claims.sid);
    } catch (error) {
      if (error instanceof AppError && AUDITED.has(error.code)) {
        const { userId, userName, deviceId } = session?.principal ?? {};
        audit.record({ what: 'ticket', result: error.code, userId, userName, deviceId, address: request.ip });
      }
      throw error;
    }
    known.set(request, session);
    return session;
  };
}

export type AuthenticatorDeps = {
  readonly tickets: TicketVerifier;
  readonly revocations: Pick<Revocations, 'check'>;
  readonly audit: Pick<Audit, 'record'>;
};
const AUDITED: ReadonlySet<ErrorCode> = new Set(['ticket_invalid', 'ticket_revoked']);

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
