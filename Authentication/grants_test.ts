import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { jwtVerify } from 'jose';
import { decodeGrant } from '../Models/datagram_fields.ts';
import { DATAGRAM, parseServer } from '../Models/datagrams.ts';
import { replyAssociated, unseal } from '../Models/handshake.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import { TICKET, TicketClaims } from '../Models/ticket.ts';
import type { StoredSession } from '../Storage/sessions.ts';
import { createGrants } from './grants.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const secrets = { master: Buffer.alloc(32, 1), signingKeyAt: () => ({ id: '12345678', key: privateKey, signsFromMs: 0 }) };
const session = (userName: string): StoredSession => ({
  id: 'c'.repeat(32),
  userId: 'a'.repeat(32),
  userName,
  userDisabled: false,
  role: 'admin',
  deviceId: 'b'.repeat(32),
  deviceSinceMs: 0,
  interactive: false,
  state: 'pending',
  endReason: null,
  createdAtMs: 1,
  lastSeenMs: 1,
});
const request = new Uint8Array(DATAGRAM.clientBytes);
const transaction = new Uint8Array(16).fill(7);
const key = new Uint8Array(32).fill(8);

test('a grant opens to a ticket with exactly its claims, and comes out the same twice', async () => {
  const grants = createGrants(secrets, { httpPort: 4811, publicUrl: null, pins: () => [] }, 100_000);
  const issuedAtMs = Date.now();
  const input = { session: session('alice'), issuedAtMs, key, transaction, request };
  const bytes = await grants.datagram(input);
  assert.deepEqual(await grants.datagram(input), bytes);
  const reply = parseServer(bytes);
  assert.ok(reply?.kind === 'ticket');
  const associated = replyAssociated(p, { kind: 'ticket', transaction, request });
  const grant = decodeGrant(unseal(p, { key, associated, sealed: reply.rest }) ?? new Uint8Array(0));
  assert.ok(grant !== null);
  const checks = { algorithms: [TICKET.algorithm], typ: TICKET.type, issuer: TICKET.issuer, audience: TICKET.audience };
  const { payload, protectedHeader } = await jwtVerify(grant.ticket, publicKey, checks);
  assert.deepEqual(protectedHeader, { alg: 'EdDSA', typ: 'dl+jwt', kid: '12345678' });
  const claims = TicketClaims.parse(payload);
  assert.deepEqual(Object.keys(payload).sort(), Object.keys(claims).sort());
  assert.deepEqual([claims.exp - claims.iat, claims.iat], [TICKET.lifetimeS, Math.floor(issuedAtMs / 1000)]);
  assert.deepEqual(Buffer.from(grant.renewalSecret), Buffer.from(grants.renewalSecret(Buffer.from(session('').id, 'hex'))));
});

test('the pins of the server are in the grant, and four of them fit beside the longest name', async () => {
  const fingerprints = [1, 2, 3, 4].map((fill) => new Uint8Array(32).fill(fill));
  const grants = createGrants(secrets, { httpPort: 65_535, publicUrl: null, pins: () => fingerprints }, 100_000);
  const bytes = await grants.datagram({ session: session('"'.repeat(64)), issuedAtMs: Date.now(), key, transaction, request });
  const reply = parseServer(bytes);
  assert.ok(reply?.kind === 'ticket');
  const associated = replyAssociated(p, { kind: 'ticket', transaction, request });
  const grant = decodeGrant(unseal(p, { key, associated, sealed: reply.rest }) ?? new Uint8Array(0));
  assert.deepEqual(
    grant?.fingerprints.map((pin) => Uint8Array.from(pin)),
    fingerprints,
  );
});

test('the longest name and address still fit a datagram, with room for a fingerprint', async () => {
  const grants = createGrants(secrets, { httpPort: 65_535, publicUrl: `https://${'x'.repeat(152)}`, pins: () => [] }, 100_000);
  const bytes = await grants.datagram({ session: session('"'.repeat(64)), issuedAtMs: Date.now(), key, transaction, request });
  assert.ok(bytes.length + 32 <= DATAGRAM.clientBytes, `${bytes.length}`);
});
