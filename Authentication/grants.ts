import { sign, timingSafeEqual } from 'node:crypto';
import { encodeGrant, encodeTimeMs } from '../Models/datagram_fields.ts';
import { encodeServer } from '../Models/datagrams.ts';
import { replyAssociated, seal } from '../Models/handshake.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import { TICKET, type TicketClaims } from '../Models/ticket.ts';
import type { StoredSession } from '../Storage/sessions.ts';
import type { Secrets } from './secrets.ts';

/** Where clients find the storage server. */
export type ServerPlace = {
  readonly httpPort: number;
  readonly publicUrl: string | null;
  /** SHA-256 of the keys to expect there; none where it is not for clients to compare them. @throws AppError `busy` while they are not known */
  readonly pins: () => readonly Uint8Array[];
};

/** Makes TICKET datagrams: the same session, time and request give the same bytes. */
export type Grants = {
  renewalSecret(sessionId: Uint8Array): Uint8Array;
  /** Was this proof given to this device of this user? */
  isDeviceProof(device: { userId: Uint8Array; deviceId: Uint8Array; sinceMs: number; proof: Uint8Array }): boolean;
  datagram(input: {
    session: StoredSession;
    issuedAtMs: number;
    key: Uint8Array;
    transaction: Uint8Array;
    request: Uint8Array;
  }): Promise<Uint8Array>;
};

const DEVICE_PROOF_BYTES = 16;
const bytesOf = (id: string): Buffer => Buffer.from(id, 'hex');
/** Of a JWS in its compact form (RFC 7515). Signing here takes half the time that jose does by way of Web Crypto. */
const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');

export function createGrants(secrets: Pick<Secrets, 'master' | 'signingKeyAt'>, place: ServerPlace, idleMs: number | null): Grants {
  const renewalSecret = (sessionId: Uint8Array): Uint8Array =>
    p.hkdf({ secret: secrets.master, salt: sessionId, info: 'driftless renewal secret 1', bytes: 32 });

  const deviceKey = p.hkdf({ secret: secrets.master, salt: new Uint8Array(0), info: 'driftless device proof 1', bytes: 32 });
  /** Another one after each time the device was revoked, or forgotten. */
  const deviceProof = (userId: Uint8Array, deviceId: Uint8Array, sinceMs: number): Uint8Array =>
    p.hmac(deviceKey, userId, deviceId, encodeTimeMs(sinceMs)).subarray(0, DEVICE_PROOF_BYTES);

  function ticket(session: StoredSession, issuedAtMs: number): string {
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
    const { id, key } = secrets.signingKeyAt(issuedAtMs);
    const signed = `${part({ alg: TICKET.algorithm, typ: TICKET.type, kid: id })}.${part(claims)}`;
    return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
  }

  return {
    renewalSecret,
    isDeviceProof: ({ userId, deviceId, sinceMs, proof }) => timingSafeEqual(deviceProof(userId, deviceId, sinceMs), proof),
    async datagram({ session, issuedAtMs, key, transaction, request }) {
      const [userId, deviceId, sessionId] = [bytesOf(session.userId), bytesOf(session.deviceId), bytesOf(session.id)];
      const text = encodeGrant({
        serverTimeMs: issuedAtMs,
        userId,
        deviceId,
        sessionId,
        renewalSecret: renewalSecret(sessionId),
        deviceProof: deviceProof(userId, deviceId, session.deviceSinceMs),
        idleS: session.interactive && idleMs !== null ? Math.ceil(idleMs / 1000) : 0,
        httpPort: place.httpPort,
        publicUrl: place.publicUrl,
        userName: session.userName,
        fingerprints: place.pins(),
        ticket: ticket(session, issuedAtMs),
      });
      const associated = replyAssociated(p, { kind: 'ticket', transaction, request });
      return encodeServer('ticket', transaction, { rest: seal(p, { key, associated, text }) });
    },
  };
}
