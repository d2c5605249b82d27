import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TICKET } from '../Models/ticket.ts';
import { badTickets } from './testing/bad_tickets.ts';
import { keySet, makeSigningKey, mintTicket } from './testing/ticket_mint.ts';
import { createTicketVerifier, TicketKeys } from './tickets.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-tickets-'));
});
after(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function open(written: string | null) {
  files += 1;
  const path = join(folder, `keys-${files}.json`);
  if (written !== null) await writeFile(path, written);
  const clock = { ms: 1_800_000_000_000 };
  const keys = new TicketKeys(path, () => clock.ms);
  return { path, clock, keys, verifier: createTicketVerifier(keys, () => clock.ms) };
}
const verifyWith = async (opened: Awaited<ReturnType<typeof open>>, token: string) => opened.verifier.verify(token);

test('a good ticket tells who asks, also the second time', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  const token = await mintTicket(key, opened.clock.ms);
  const expected = { userId: '1'.repeat(32), userName: 'alice', deviceId: '2'.repeat(32) };
  assert.deepEqual((await verifyWith(opened, token)).principal, expected);
  assert.deepEqual((await verifyWith(opened, token)).principal, expected);
});

test('every other ticket is refused with its code, also after a good one was seen', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  await verifyWith(opened, await mintTicket(key, opened.clock.ms));
  for (const { what, authorization, code } of await badTickets(key, opened.clock.ms)) {
    const token = /^Bearer (.*)$/.exec(authorization ?? '')?.[1];
    if (token !== undefined) await assert.rejects(verifyWith(opened, token), { code }, what);
  }
});

test('a ticket that differs in one character from one seen before is refused', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  const token = await mintTicket(key, opened.clock.ms);
  await verifyWith(opened, token);
  for (let i = 0; i < token.length; i += 1) {
    const other = `${token.slice(0, i)}${token[i] === 'A' ? 'B' : 'A'}${token.slice(i + 1)}`;
    // the last character of a signature holds two bits that mean nothing
    if (i === token.length - 1) continue;
    await assert.rejects(verifyWith(opened, other), /ticket/, `character ${i}`);
  }
});

test('a ticket that was seen is refused once it has expired and the leeway has passed', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  const token = await mintTicket(key, opened.clock.ms);
  await verifyWith(opened, token);
  opened.clock.ms += (TICKET.lifetimeS + TICKET.leewayS - 1) * 1000;
  await verifyWith(opened, token);
  opened.clock.ms += 1000;
  await assert.rejects(verifyWith(opened, token), { code: 'ticket_expired' });
});

test('the keys may come after the server has started, and are looked for ten times a second at most', async () => {
  const key = makeSigningKey();
  const opened = await open(null);
  const token = await mintTicket(key, opened.clock.ms);
  await assert.rejects(verifyWith(opened, token), { code: 'ticket_invalid' });
  await writeFile(opened.path, await keySet([key]));
  await assert.rejects(verifyWith(opened, token), { code: 'ticket_invalid' });
  opened.clock.ms += 100;
  await verifyWith(opened, token);
});

test('a key that the daemon took away is not trusted any more, though its tickets were seen before', async () => {
  const [old, current] = [makeSigningKey(), makeSigningKey()];
  const opened = await open(await keySet([old]));
  const token = await mintTicket(old, opened.clock.ms);
  await verifyWith(opened, token);
  await writeFile(opened.path, await keySet([current, makeSigningKey()]));
  await opened.keys.refresh();
  opened.clock.ms += 2000;
  await assert.rejects(verifyWith(opened, token), { code: 'ticket_invalid' });
  await verifyWith(opened, await mintTicket(current, opened.clock.ms));
});

test('a ticket that was being checked while its key was taken away is not remembered', async () => {
  const [key, other] = [makeSigningKey(), makeSigningKey()];
  const opened = await open(await keySet([key]));
  const written = await keySet([key]);
  for (let n = 0; n < 20; n += 1) {
    const late = await mintTicket(key, opened.clock.ms, { claims: { name: `alice ${n}` } });
    const unknown = await mintTicket(other, opened.clock.ms);
    await writeFile(opened.path, written);
    await opened.keys.refresh();
    await rm(opened.path);
    const taken = opened.keys.refresh();
    const checked = taken.then(() => assert.rejects(verifyWith(opened, unknown), { code: 'ticket_invalid' })); // the first that sees the new set
    await Promise.allSettled([verifyWith(opened, late), checked]);
    await assert.rejects(verifyWith(opened, late), { code: 'ticket_invalid' });
  }
});

test('of a key that was withdrawn tickets are over, seen before or not, and so is what is under way with them', async () => {
  const [stolen, current] = [makeSigningKey(), makeSigningKey()];
  const opened = await open(await keySet([stolen]));
  const token = await mintTicket(stolen, opened.clock.ms);
  const session = await verifyWith(opened, token);
  opened.verifier.assertTrusted(session);
  await writeFile(opened.path, JSON.stringify({ ...JSON.parse(await keySet([current])), withdrawn: [stolen.kid] }));
  await opened.keys.refresh();
  const forged = await mintTicket(stolen, opened.clock.ms, { claims: { role: 'admin' } });
  for (const one of [token, forged]) await assert.rejects(verifyWith(opened, one), { code: 'ticket_expired' });
  assert.throws(() => opened.verifier.assertTrusted(session), { code: 'ticket_expired' });
  opened.verifier.assertTrusted(await verifyWith(opened, await mintTicket(current, opened.clock.ms)));
});

test('keys whose file is gone are not trusted any more', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  const token = await mintTicket(key, opened.clock.ms);
  await verifyWith(opened, token);
  await rm(opened.path);
  await opened.keys.refresh();
  assert.equal(opened.keys.size, 0);
  await assert.rejects(verifyWith(opened, token), { code: 'ticket_invalid' });
  await writeFile(opened.path, await keySet([key]));
  await opened.keys.refresh();
  await verifyWith(opened, token);
});

test('a key file that is damaged is said to be so, and the keys known before go on', async () => {
  const key = makeSigningKey();
  const opened = await open(await keySet([key]));
  await opened.keys.refresh();
  await writeFile(opened.path, '{"keys": [');
  await assert.rejects(opened.keys.refresh(), { code: 'storage_unavailable' });
  await verifyWith(opened, await mintTicket(key, opened.clock.ms));
});
