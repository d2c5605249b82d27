import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { SignJWT } from 'jose/jwt/sign';
import { exportJWK } from 'jose/key/export';
import { TICKET } from '../../Models/ticket.ts';

/** What the daemon would sign with. */
export type SigningKey = { readonly kid: string; readonly privateKey: KeyObject; readonly publicKey: KeyObject };

export function makeSigningKey(): SigningKey {
  return { kid: randomBytes(8).toString('hex'), ...generateKeyPairSync('ed25519') };
}

/** The content of `ticket_keys.json`. */
export async function keySet(keys: readonly SigningKey[]): Promise<string> {
  return JSON.stringify({ keys: await Promise.all(keys.map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid }))) });
}

export type TicketParts = {
  readonly header?: Record<string, unknown>;
  readonly claims?: Record<string, unknown>;
  /** Signs, when it is not the key's own private half. */
  readonly secret?: KeyObject | Uint8Array;
};

/** A ticket as the daemon makes it, with whatever is to be different in it. */
export function mintTicket(key: SigningKey, nowMs: number, { header, claims, secret }: TicketParts = {}): Promise<string> {
  const iat = Math.floor(nowMs / 1000);
  const standard = {
    iss: TICKET.issuer,
    aud: TICKET.audience,
    sub: '1'.repeat(32),
    name: 'alice',
    dev: '2'.repeat(32),
    sid: '3'.repeat(32),
    role: 'user',
    iat,
    exp: iat + TICKET.lifetimeS,
  };
  return new SignJWT({ ...standard, ...claims })
    .setProtectedHeader({ alg: TICKET.algorithm, typ: TICKET.type, kid: key.kid, ...header })
    .sign(secret ?? key.privateKey);
}
