import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import { TICKET } from '../Models/ticket.ts';
import { createTicketVerifier, TicketKeys } from '../Server/tickets.ts';

export type TicketCheckTimes = {
  readonly firstUs: number; // a ticket never seen: its signature is checked
  readonly seenUs: number; // a ticket seen before
};

const TICKETS = 200;
const ROUNDS = 100;

/** What the server spends on one ticket, medians over rounds of `TICKETS` different ones. */
export async function measureTicketCheck(): Promise<TicketCheckTimes> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-ticket-bench-'));
  try {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const path = join(folder, 'ticket_keys.json');
    await writeFile(path, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bench' }] }));
    const tickets = await Promise.all(Array.from({ length: TICKETS }, (_, i) => mint(privateKey, i)));
    const verifier = createTicketVerifier(new TicketKeys(path, Date.now), Date.now);
    const firstUs = await roundUs(tickets, verifier);
    const rounds: number[] = [];
    for (let i = 0; i < ROUNDS; i += 1) rounds.push(await roundUs(tickets, verifier));
    return { firstUs, seenUs: rounds.toSorted((a, b) => a - b)[ROUNDS / 2] ?? Number.NaN };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function roundUs(tickets: readonly string[], verifier: ReturnType<typeof createTicketVerifier>): Promise<number> {
  const from = process.hrtime.bigint();
  for (const ticket of tickets) await verifier.verify(ticket);
  return Number(process.hrtime.bigint() - from) / 1000 / tickets.length;
}

function mint(privateKey: Parameters<SignJWT['sign']>[0], number: number): Promise<string> {
  const id = number.toString(16).padStart(32, '0');
  const iat = Math.floor(Date.now() / 1000);
  const who = { sub: id, name: `user ${number}`, dev: id, sid: id, role: 'user' };
  return new SignJWT({ iss: TICKET.issuer, aud: TICKET.audience, ...who, iat, exp: iat + TICKET.lifetimeS })
    .setProtectedHeader({ alg: TICKET.algorithm, typ: TICKET.type, kid: 'bench' })
    .sign(privateKey);
}
