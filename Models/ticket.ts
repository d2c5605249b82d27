import { z } from 'zod';

/** A ticket is a JWT (EdDSA) that the daemon signs and the server checks with the public key alone. */
export const TICKET = {
  algorithm: 'EdDSA',
  type: 'dl+jwt',
  issuer: 'driftless-auth',
  audience: 'driftless',
  lifetimeS: 15 * 60,
  leewayS: 60,
} as const;

export const SESSION = { lifetimeS: 30 * 24 * 3600, unacknowledgedS: 60 } as const;

/** Claims of a ticket. Names are short because the ticket travels with each request. `iat` and `exp` are seconds since 1970. */
export const TicketClaims = z.object({
  iss: z.literal(TICKET.issuer),
  aud: z.literal(TICKET.audience),
  sub: z.string().regex(/^[0-9a-f]{32}$/), // user id
  name: z.string().min(1), // user name
  dev: z.string().regex(/^[0-9a-f]{32}$/), // device id
  sid: z.string().regex(/^[0-9a-f]{32}$/), // session id
  role: z.enum(['user', 'admin']),
  iat: z.int(),
  exp: z.int(),
});
/** RFC 7517: the public keys that tickets are signed with now, were until lately, and will be soon. */
export const TicketKeySet = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: z.string(),
      kid: z.string(),
      alg: z.literal(TICKET.algorithm),
      use: z.literal('sig'),
    }),
  ),
});

export type TicketClaims = z.infer<typeof TicketClaims>;
