import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createGrants } from '../Authentication/grants.ts';
import { openSecrets, readSecretContent, rotateKeys, type Secrets } from '../Authentication/secrets.ts';
import { ROTATION } from '../Authentication/signing_keys.ts';
import { register } from '../Client/client.ts';
import { decodeGrant } from '../Models/datagram_fields.ts';
import { DATAGRAM, parseServer } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { replyAssociated, unseal } from '../Models/handshake.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import { OwnTime } from '../Models/testing/processor_time.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { TICKET } from '../Models/ticket.ts';
import { privateEnvironment, startSystem } from '../processes.ts';
import { ticketKeysPath } from '../Server/config.ts';
import { mintTicket } from '../Server/testing/ticket_mint.ts';
import { createTicketVerifier, TicketKeys } from '../Server/tickets.ts';
import type { StoredSession } from '../Storage/sessions.ts';

const SESSION: StoredSession = {
  id: 'c'.repeat(32),
  userId: 'a'.repeat(32),
  userName: 'alice',
  userDisabled: false,
  role: 'user',
  deviceId: 'b'.repeat(32),
  deviceSinceMs: 0,
  interactive: false,
  state: 'live',
  endReason: null,
  createdAtMs: 1,
  lastSeenMs: 1,
};
const TRANSACTION = new Uint8Array(16).fill(7);
const REQUEST = new Uint8Array(DATAGRAM.clientBytes);
const KEY = new Uint8Array(32).fill(8);

/** A ticket as the daemon sends it. */
async function ticketOf(secrets: Secrets, issuedAtMs: number): Promise<string> {
  const grants = createGrants(secrets, { httpPort: 4811, publicUrl: null, pins: () => [] }, 100_000);
  const bytes = await grants.datagram({ session: SESSION, issuedAtMs, key: KEY, transaction: TRANSACTION, request: REQUEST });
  const reply = parseServer(bytes);
  assert.ok(reply?.kind === 'ticket');
  const associated = replyAssociated(p, { kind: 'ticket', transaction: TRANSACTION, request: REQUEST });
  const grant = decodeGrant(unseal(p, { key: KEY, associated, sealed: reply.rest }) ?? new Uint8Array(0));
  return grant?.ticket ?? '';
}

test('through a rotation by hand and one by age every ticket is good for its whole life, and no key longer than it must be', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = { ms: 1_800_000_000_000 };
  const now = (): number => clock.ms;
  const secrets = await openSecrets(folder, { mayCreate: true, now });
  const keys = new TicketKeys(ticketKeysPath(folder), now);
  const verifier = createTicketVerifier(keys, now);
  const outcome = async (ticket: string): Promise<string> => {
    try {
      await verifier.verify(ticket);
      return 'accepted';
    } catch (error) {
      assert.ok(error instanceof AppError);
      return error.code;
    }
  };
  const issued: { ticket: string; atMs: number }[] = [];
  const signers = new Set<string>();
  const goodMs = (TICKET.lifetimeS + TICKET.leewayS) * 1000;

  /** One step: the server looks a second before the daemon, which is as late as it can be with its knowledge. */
  async function step(ms: number): Promise<void> {
    clock.ms += ms;
    await keys.refresh();
    await secrets.tend();
    signers.add(secrets.signingKeyAt(clock.ms).id);
    issued.push({ ticket: await ticketOf(secrets, clock.ms), atMs: clock.ms });
    for (const { ticket, atMs } of issued)
      assert.equal(await outcome(ticket), clock.ms < atMs + goodMs ? 'accepted' : 'ticket_expired', `${clock.ms - atMs}`);
  }

  for (let n = 0; n < 5; n += 1) await step(7000);
  await rotateKeys(folder, clock.ms);
  const madeAtMs = clock.ms;
  while (clock.ms < madeAtMs + ROTATION.aheadMs + goodMs - 20_000) await step(15_001);
  assert.equal(signers.size, 2);
  assert.equal(keys.published.length, 2);

  clock.ms = madeAtMs + ROTATION.aheadMs + ROTATION.overlapMs;
  await secrets.tend();
  await keys.refresh();
  assert.equal(keys.published.length, 1);
  // Were one good for longer than tickets are, its key would still be refused.
  const withOld = issued[0]?.ticket ?? '';
  assert.equal(await outcome(withOld), 'ticket_invalid');

  issued.length = 0;
  clock.ms = madeAtMs + ROTATION.everyMs + ROTATION.aheadMs;
  for (let n = 0; n < 8; n += 1) await step(15_000);
  assert.equal(signers.size, 3);
});

const ROTATING = `
  import { rotateKeys } from ${JSON.stringify(new URL('../Authentication/secrets.ts', import.meta.url).href)};
  process.stdout.write('ready');
  for (let at = Number(process.argv[2]); ; at += ${ROTATION.aheadMs}) await rotateKeys(process.argv[1], at);
`;

test('killed at any moment of it, all that signs is published and nothing is lost', async (t) => {
  const folder = await temporaryFolder(t);
  let nowMs = 1_800_000_000_000;
  const made = await openSecrets(folder, { mayCreate: true, now: () => nowMs });
  for (let n = 0; n < 5; n += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', ROTATING, folder, String(nowMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const waitMs = 5 + Math.random() * 40;
    await setTimeout(waitMs); // the moment is what is random
    child.kill('SIGKILL');
    await once(child, 'close');
    const { ticketKeys, ...lasting } = await readSecretContent(folder);
    const published = JSON.parse(await readFile(ticketKeysPath(folder), 'utf8')) as { keys: { kid: string }[] };
    const known = new Set(published.keys.map(({ kid }) => kid));
    for (const { id } of ticketKeys) assert.ok(known.has(id), `killed after ${waitMs} ms`);
    assert.deepEqual([lasting.master, lasting.opaqueSetup], [made.master, made.opaqueSetup]);
    nowMs = (ticketKeys.at(-1)?.signsFromMs ?? 0) + ROTATION.aheadMs;
    const reopened = await openSecrets(folder, { mayCreate: false, now: () => nowMs });
    assert.ok(known.has(reopened.signingKeyAt(nowMs).id));
  }
});

const ADMIN = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));

test('a stolen key is good for nothing within two seconds after "keys rotate --now", for what is under way too, and nobody need log in again', async (t) => {
  const folder = await temporaryFolder(t);
  const env = await privateEnvironment(folder, process.env);
  await using system = await startSystem({ env, folder });
  await using alice = await register({
    username: 'alice',
    password: 'correct horse battery',
    auth: system.auth,
    home: join(folder, 'home'),
  });
  const old = await alice.ticket();
  const { ticketKeys } = await readSecretContent(join(folder, 'data'));
  const stolen = ticketKeys[0];
  assert.ok(stolen !== undefined);
  const key = { kid: stolen.id, privateKey: stolen.key, publicKey: createPublicKey(stolen.key) };
  const { sid } = JSON.parse(Buffer.from(old.split('.')[1] ?? '', 'base64url').toString()) as { sid: string }; // without a session none is good
  const forged = await mintTicket(key, Date.now(), { claims: { sid, role: 'admin' } });
  const answer = async (ticket: string): Promise<string> => {
    const { status, body } = await fetch(`${system.httpUrl}/v1/whoami`, { headers: { authorization: `Bearer ${ticket}` } }).then(
      async (said) => ({ status: said.status, body: (await said.json()) as { code?: string } }),
    );
    return body.code ?? String(status);
  };
  assert.deepEqual([await answer(old), await answer(forged)], ['200', '200']);
  const socket = new WebSocket(`${system.httpUrl.replace('http', 'ws')}/v1/events`, { headers: { authorization: `Bearer ${forged}` } });
  await once(socket, 'open');
  const cut = once(socket, 'close') as Promise<[CloseEvent]>;

  const rotating = promisify(execFile)(process.execPath, [ADMIN, 'keys', 'rotate', '--now', '--json'], { env });
  const answered: { since?: OwnTime } = {};
  const rotated = rotating.then(({ stdout }) => {
    answered.since = new OwnTime();
    return stdout;
  });
  while ((await answer(forged)) === '200') {
    await alice.usage(); // at no moment is anybody refused who is logged in
    await setTimeout(20);
  }
  const afterMs = answered.since?.ms ?? 0; // it can be refused before the command says that it is done
  assert.ok(afterMs < 2000, `${afterMs} ms after the command`);
  assert.deepEqual([await answer(old), await answer(forged)], ['ticket_expired', 'ticket_expired']);
  const [{ code, reason }] = await cut;
  assert.deepEqual([code, reason], [1008, 'ticket_expired']);
  await alice.usage();
  assert.equal(await answer(await alice.ticket()), '200');
  const [left, ...others] = JSON.parse(await rotated) as { id: string; state: string }[];
  assert.deepEqual([left?.state, others.length], ['signs', 0]);
  assert.notEqual(left?.id, stolen.id);
  t.diagnostic(`${afterMs.toFixed(0)} ms after the command`);
});
