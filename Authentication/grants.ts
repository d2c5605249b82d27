import { SignJWT } from 'jose';
import { encodeGrant } from '../Models/datagram_fields.ts';
import { encodeServer } from '../Models/datagrams.ts';
import { replyAssociated, seal } from '../Models/handshake.ts';
import { TICKET, type TicketClaims } from '../Models/ticket.ts';
import type { StoredSession } from '../Storage/accounts.ts';
import { nodePrimitives as p } from './node_primitives.ts';
import type { Secrets } from './secrets.ts';

/** Where clients find the storage server. */
export type ServerPlace = { readonly httpPort: number; readonly publicUrl: string | null };

/** Makes TICKET datagrams: the same session, time and request give the same bytes. */
export type Grants = {
  renewalSecret(sessionId: Uint8Array): Uint8Array;
  datagram(input: {
    session: StoredSession;
    issuedAtMs: number;
    key: Uint8Array;
    transaction: Uint8Array;
    request: Uint8Array;
  }): Promise<Uint8Array>;
};

const bytesOf = (id: string): Buffer => Buffer.from(id, 'hex');

export function createGrants(secrets: Pick<Secrets, 'master' | 'ticketKey' | 'ticketKeyId'>, place: ServerPlace): Grants {
  const renewalSecret = (sessionId: Uint8Array): Uint8Array =>
    p.hkdf({ secret: secrets.master, salt: sessionId, info: 'driftless renewal secret 1', bytes: 32 });

  function ticket(session: StoredSession, issuedAtMs: number): Promise<string> {
    const iat = Math.floor(issuedAtMs / 1000);
    const claims: TicketClaims = {
      iss: TICKET.issuer,
      aud: TICKET.audience,
      sub: session.userId,
      name: session.userName,
      dev: session.deviceId,
      sid: session.id,
      role: session.role,
      iat,
      exp: iat + TICKET.lifetimeS,
    };
    const header = { alg: TICKET.algorithm, typ: TICKET.type, kid: secrets.ticketKeyId };
    return new SignJWT(claims).setProtectedHeader(header).sign(secrets.ticketKey);
  }

  return {
    renewalSecret,
    async datagram({ session, issuedAtMs, key, transaction, request }) {
      const sessionId = bytesOf(session.id);
      const text = encodeGrant({
        serverTimeMs: issuedAtMs,
        userId: bytesOf(session.userId),
        deviceId: bytesOf(session.deviceId),
        sessionId,
        renewalSecret: renewalSecret(sessionId),
        ...place,
        userName: session.userName,
        fingerprints: [],
        ticket: await ticket(session, issuedAtMs),
      });
      const associated = replyAssociated(p, { kind: 'ticket', transaction, request });
      return encodeServer('ticket', transaction, { rest: seal(p, { key, associated, text }) });
    },
  };
}
