import { createPublicKey } from 'node:crypto';
import type { ErrorCode } from '../../Models/errors.ts';
import { TICKET } from '../../Models/ticket.ts';
import { makeSigningKey, mintTicket, type SigningKey } from './ticket_mint.ts';

export type BadTicket = { readonly what: string; readonly authorization: string | null; readonly code: ErrorCode };

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Every way in which a ticket can be wrong except being revoked, with the code that each must be refused with. */
export async function badTickets(key: SigningKey, nowMs: number): Promise<BadTicket[]> {
  const good = await mintTicket(key, nowMs);
  const [head, body, signature] = good.split('.') as [string, string, string];
  const hourAgo = nowMs - 3_600_000;
  const stranger = { ...makeSigningKey(), kid: key.kid };
  const publicBytes = createPublicKey(key.publicKey.export({ type: 'spki', format: 'pem' }) as string).export({
    type: 'spki',
    format: 'der',
  });
  const with_ = async (what: string, parts: Parameters<typeof mintTicket>[2]) => ({ what, token: await mintTicket(key, nowMs, parts) });
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
  const invalid = [
    { what: 'garbage', token: 'garbage' },
    { what: 'three empty parts', token: '..' },
    { what: 'truncated', token: good.slice(0, -10) },
    { what: 'without its signature', token: `${head}.${body}.` },
    { what: 'with one more part', token: `${good}.${signature}` },
    { what: 'too long', token: 'x'.repeat(5000) },
    { what: 'forged with another key under the known kid', token: await mintTicket(stranger, nowMs) },
    { what: 'signed by an unknown key', token: await mintTicket(makeSigningKey(), nowMs) },
    { what: 'with other claims under the old signature', token: `${head}.${part({ ...claims, name: 'mallory' })}.${signature}` },
    { what: 'with alg none', token: `${part({ alg: 'none', typ: 'dl+jwt', kid: key.kid })}.${body}.` },
    await with_('HS256 with the public key as secret', { header: { alg: 'HS256' }, secret: publicBytes }),
    await with_('of another type', { header: { typ: 'JWT' } }),
    await with_('without a type', { header: { typ: undefined } }),
    await with_('without a kid', { header: { kid: undefined } }),
    await with_('of another issuer', { claims: { iss: 'someone' } }),
    await with_('for another audience', { claims: { aud: 'someone' } }),
    await with_('without an expiry', { claims: { exp: undefined } }),
    await with_('that lives longer than tickets do', { claims: { exp: Math.floor(nowMs / 1000) + TICKET.lifetimeS + 1 } }),
    await with_('with a user id that is none', { claims: { sub: '../etc' } }),
    await with_('without a session', { claims: { sid: undefined } }),
    await with_('with a role that is none', { claims: { role: 'root' } }),
  ];
  return [
    { what: 'none', authorization: null, code: 'ticket_missing' },
    { what: 'an empty header', authorization: '', code: 'ticket_missing' },
    { what: 'another scheme', authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}`, code: 'ticket_missing' },
    { what: 'expired', authorization: `Bearer ${await mintTicket(key, hourAgo)}`, code: 'ticket_expired' },
    ...invalid.map(({ what, token }) => ({ what, authorization: `Bearer ${token}`, code: 'ticket_invalid' as const })),
  ];
}
