import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DATAGRAM, encodeServer } from '../Models/datagrams.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';

/** An invitation code from the administrator's terminal to its user's, as real processes. */

const CLI = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const ADMIN = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const HEADER_BYTES = 20; // of every datagram; the rest of an empty HELLO says nothing

let folder: string;
let env: NodeJS.ProcessEnv;
let system: System;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-invite-'));
  env = { ...(await privateEnvironment(folder, process.env)), DRIFTLESS_REGISTRATION: 'invite' };
  system = await startSystem({ env, folder });
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function run(program: string, words: readonly string[], programEnv: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [program, ...words], { cwd: folder, env: programEnv, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}

/** Somebody on another machine: nothing is known of the daemon but what they type. */
function cli(user: string, ...words: string[]) {
  return run(CLI, words, { DRIFTLESS_HOME: join(folder, `home-${user}`), DRIFTLESS_PASSWORD: PASSWORD });
}

async function admin<Facts>(...words: string[]): Promise<Facts> {
  const { code, out, err } = await run(ADMIN, [...words, '--json'], env);
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

type Made = { id: string; code: string; expiresAt: string };
type Listed = { id: string; usesLeft: number; label: string | null };

test('a code registers who has it without a question, with its quota, as often as it says and as long as it is good', async () => {
  const brief = await admin<Made>('invite-code', '--expires', '1s');
  const made = await admin<Made>('invite-code', '--quota', '2MB', '--for', 'Zoë');

  const registered = await cli('zoe', 'register', 'zoe', '--invite', made.code);
  assert.deepEqual(registered, {
    code: 0,
    out: `registered and logged in as zoe at ${system.auth}; files at ${system.httpUrl}\n`,
    err: '',
  });
  const usage = await cli('zoe', 'usage', '--json');
  assert.equal((JSON.parse(usage.out) as { quota: number }).quota, 2_000_000);
  await cli('zoe', 'logout');
  const again = await cli('zoe', 'login', 'zoe'); // the profile knows where, and whom to expect there
  assert.deepEqual([again.code, again.err], [0, '']);

  const refused = { code: 3, out: '', err: 'driftless: the invitation code is not good: unknown, used up or expired (invite_invalid)\n' };
  assert.deepEqual(await cli('yan', 'register', 'yan', '--invite', made.code), refused);
  await sleep(Math.max(0, Date.parse(brief.expiresAt) - Date.now()));
  assert.deepEqual(await cli('yan', 'register', 'yan', '--invite', brief.code), refused);
  assert.deepEqual(
    (await admin<Listed[]>('invite-codes')).map(({ id, usesLeft, label }) => [id, usesLeft, label]),
    [
      [made.id, 0, 'Zoë'],
      [brief.id, 1, null],
    ],
  );
});

type Audited = { what: string; result: string; detail: string | null };

test('a code that is withdrawn lets nobody in; neither list nor audit record show it, and who follows the record sees it happen', async (t) => {
  const following = spawn(process.execPath, [ADMIN, 'audit', '--follow', '--json'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => following.kill('SIGKILL'));
  const lines = createInterface(following.stdout)[Symbol.asyncIterator]();
  const seen = async (wanted: (entry: Audited) => boolean): Promise<void> => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) if (wanted(JSON.parse(line.value))) return;
    assert.fail('it ended');
  };
  const made = await admin<Made>('invite-code', '--uses', '3');
  await seen(({ what, detail }) => what === 'invite_code_made' && detail?.startsWith(made.id) === true);
  assert.deepEqual(await admin('invite-codes', 'withdraw', made.id), { id: made.id, usesLeft: 3 });
  assert.equal((await run(ADMIN, ['invite-codes', 'withdraw', made.id], env)).code, 4);
  await seen(({ what, detail }) => what === 'invite_code_withdrawn' && detail === made.id);
  assert.match((await cli('xia', 'register', 'xia', '--invite', made.code)).err, /\(invite_invalid\)/);
  await seen(({ what, result }) => what === 'registration' && result === 'invite_invalid'); // also where only the count of a row rises
  following.kill('SIGINT');
  await once(following, 'close');
  const [listed, audited] = [await run(ADMIN, ['invite-codes'], env), await run(ADMIN, ['audit', '--json'], env)];
  assert.ok(!listed.out.includes(made.id));
  const told = (JSON.parse(audited.out) as Audited[]).filter(({ detail }) => detail?.startsWith(made.id));
  assert.deepEqual(
    told.map(({ what, result }) => `${what} ${result}`),
    ['invite_code_withdrawn ok', 'invite_code_made ok'],
  );
  for (const { out } of [listed, audited]) assert.ok(!out.includes(made.code.slice(4)));
});

test('who answers with another key than the code says is told nothing but that somebody asks', async (t) => {
  const heard: Buffer[] = [];
  const impostor = createSocket('udp4');
  t.after(() => void impostor.close());
  impostor.on('message', (bytes, { address, port }) => {
    heard.push(bytes);
    impostor.send(
      encodeServer('retry', bytes.subarray(4, HEADER_BYTES), { cookie: randomBytes(16), daemonKey: randomBytes(32) }),
      port,
      address,
    );
  });
  impostor.bind(0, '127.0.0.1');
  await once(impostor, 'listening');
  const made = await admin<Made>('invite-code', '--auth', `127.0.0.1:${impostor.address().port}`);

  const { code, out, err } = await cli('wes', 'register', 'wes', '--invite', made.code);
  assert.deepEqual([code, out], [3, ''], err);
  assert.match(err, /^driftless: .*\(server_key_changed\)\n$/);
  assert.equal(heard.length, 1);
  for (const bytes of heard) {
    assert.deepEqual([bytes.length, bytes[3]], [DATAGRAM.clientBytes, 1]);
    assert.ok(bytes.subarray(HEADER_BYTES).every((byte) => byte === 0));
  }
  const profile = await readFile(join(folder, 'home-wes', 'profile.json'), 'utf8').catch(() => '');
  assert.ok(!profile.includes(String(impostor.address().port)), 'the impostor is remembered');
});
