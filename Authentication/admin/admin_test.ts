import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { client, server } from '@serenity-kit/opaque';
import { EXIT } from '../../Models/exit_codes.ts';
import { fingerprint } from '../../Models/handshake.ts';
import { decodeInvite } from '../../Models/invite_code.ts';
import { foldName } from '../../Models/names.ts';
import { nodePrimitives } from '../../Models/node_primitives.ts';
import { temporaryFolder } from '../../Models/testing/temporary_folder.ts';
import { openAccounts } from '../../Storage/accounts_sql.ts';
import { publishServerPins, requestedReplacement } from '../../Storage/server_pins.ts';
import { createGuessLimit, GUESS_LIMITS } from '../guess_limit.ts';
import { openSecrets, readSecretContent } from '../secrets.ts';
import { type AdminIo, openAdmin } from './admin.ts';
import { COMMANDS, runWords } from './program.ts';

const PASSWORD = 'canary-9f2b7c hunter';

type Said = { readonly code: number; readonly out: string; readonly err: string };
type Place = {
  readonly folder: string;
  /** Runs one command line. */
  admin(...words: string[]): Promise<Said>;
  json(...words: string[]): Promise<ReturnType<JSON['parse']>>;
  answers: { password: string; yes: boolean; uid: number | null };
};

const accountsIn = (folder: string) => openAccounts({ kind: 'sqlite', file: join(folder, 'accounts.db') });

/** A data folder as the daemon leaves it. */
async function place(t: TestContext): Promise<Place> {
  const folder = await temporaryFolder(t);
  await openSecrets(folder, { mayCreate: true });
  await (await accountsIn(folder)).close();
  const answers: Place['answers'] = { password: PASSWORD, yes: true, uid: process.getuid?.() ?? null };
  const settings = { data: folder, database: null, password: null, host: '127.0.0.1', authPort: 4810 };
  const admin = async (...words: string[]): Promise<Said> => {
    const said = { out: '', err: '' };
    const out = (text: string): void => {
      said.out += text;
    };
    const err = (text: string): void => {
      said.err += text;
    };
    const io: AdminIo = {
      now: Date.now,
      tell: (line) => err(`${line}\n`),
      askPassword: async () => answers.password,
      askYes: async () => answers.yes,
      operator: 'operator',
      uid: answers.uid,
    };
    const code = await runWords(words, {
      open: () => openAdmin(settings, io),
      out,
      err,
    });
    return { code, ...said };
  };
  const json = async (...words: string[]) => {
    const { code, out, err } = await admin(...words, '--json');
    assert.deepEqual([code, err], [0, ''], words.join(' '));
    return JSON.parse(out);
  };
  return { folder, admin, json, answers };
}

test('what cannot be recorded is not done, and a row that fails afterwards is told to the person', async (t) => {
  const { admin, json, folder } = await place(t);
  await json('users', 'add', 'alice');
  const file = join(folder, 'audit.db');
  const told: string[] = [];
  const io: AdminIo = {
    ...{ now: Date.now, operator: 'operator', uid: process.getuid?.() ?? null, tell: (line) => void told.push(line) },
    ...{ askPassword: async () => PASSWORD, askYes: async () => true },
  };
  const other = new DatabaseSync(file);
  {
    await using opened = openAdmin({ data: folder, database: null, password: null, host: '127.0.0.1', authPort: 4810 }, io);
    const work = async () => {
      other.exec('BEGIN IMMEDIATE'); // another process writes and does not end
      return 'done';
    };
    assert.equal(await opened.act('user_disabled', {}, work), 'done');
    assert.deepEqual([told, opened.isRecorded], [['the audit record cannot be written'], false]);
    other.close();
  }
  for (const name of ['audit.db-wal', 'audit.db-shm']) await rm(join(folder, name), { force: true });
  await writeFile(file, 'this is no database, '.repeat(100));
  const { code } = await admin('users', 'disable', 'alice');
  assert.notEqual(code, 0);
  assert.equal((await json('users', 'list'))[0].state, 'active');
});

test('a change whose row cannot be written is answered as it was done, and the exit code is a failure', async (t) => {
  const { json, folder } = await place(t);
  await json('users', 'add', 'alice');
  using other = new DatabaseSync(join(folder, 'audit.db'));
  const said: string[] = [];
  const now = (): number => {
    if (!other.isTransaction) other.exec('BEGIN IMMEDIATE'); // when the work asks for the time, the record is open
    return Date.now();
  };
  const io: AdminIo = {
    ...{ now, operator: 'operator', uid: process.getuid?.() ?? null, tell: (line) => void said.push(line) },
    ...{ askPassword: async () => PASSWORD, askYes: async () => true },
  };
  const settings = { data: folder, database: null, password: null, host: '127.0.0.1', authPort: 4810 };
  const out = (text: string): void => void said.push(text);
  const code = await runWords(['users', 'disable', 'alice', '--json'], { open: () => openAdmin(settings, io), out, err: out });
  assert.equal(code, EXIT.failed);
  assert.ok(said.includes('the audit record cannot be written') && said.some((text) => text.includes('alice')), said.join());
  other.exec('ROLLBACK');
  assert.equal((await json('users', 'list'))[0].state, 'disabled');
});

/** The login as client and daemon do it, without the wire between them. */
async function logsIn({ folder }: Place, name: string, password: string): Promise<boolean> {
  const accounts = await accountsIn(folder);
  const account = await accounts.findAccount(name);
  await accounts.close();
  const { opaqueSetup } = await readSecretContent(folder);
  assert.ok(account !== null);
  if (account.disabled) return false;
  const { clientLoginState, startLoginRequest } = client.startLogin({ password });
  const registrationRecord = account.record.toString('base64url');
  const userIdentifier = foldName(account.name);
  const { loginResponse } = server.startLogin({ serverSetup: opaqueSetup, registrationRecord, startLoginRequest, userIdentifier });
  const { iterations, memoryKiB: memory, parallelism } = account.ksf;
  assert.deepEqual({ iterations, memory, parallelism }, { iterations: 3, memory: 65_536, parallelism: 4 }); // what every client takes
  const keyStretching = { 'argon2id-custom': { iterations, memory, parallelism } };
  return client.finishLogin({ clientLoginState, loginResponse, password, keyStretching }) !== undefined;
}

async function begin({ folder }: Place, name: string): Promise<string> {
  const accounts = await accountsIn(folder);
  const account = await accounts.findAccount(name);
  const id = randomBytes(16).toString('hex');
  await accounts.openSession({
    id,
    userId: account?.id ?? '',
    deviceId: randomBytes(16).toString('hex'),
    deviceName: 'desk\u001b[31m',
    atMs: Date.now(),
  });
  await accounts.close();
  return id;
}

test('what strangers guessed at a name locks nobody out who gets it, or another password, from the administrator', async (t) => {
  const here = await place(t);
  const { admin, json } = here;
  const { master } = await readSecretContent(here.folder);
  const guess = async (name = 'ålice'): Promise<number> => {
    await using opened = new AsyncDisposableStack();
    const { guesses } = opened.adopt(await accountsIn(here.folder), (accounts) => accounts.close());
    const limit = createGuessLimit({ guesses, master, limits: { ...GUESS_LIMITS, free: 1, max: 1 }, now: Date.now });
    return (await limit.spend({ foldedName: foldName(name), device: null, request: randomBytes(96) })).waitMs;
  };
  for (const words of [['add'], ['reset-password'], ['restore']]) {
    assert.deepEqual([await guess(), await guess()], [0, Number.POSITIVE_INFINITY]);
    if (words[0] === 'restore') await admin('users', 'delete', 'ålice', '--yes');
    assert.equal((await admin('users', ...words, 'ålice')).code, 0);
  }
  assert.equal(await guess(), 0);
  assert.deepEqual([await guess('bob'), await guess('bob')], [0, Number.POSITIVE_INFINITY]);
  const file = join(here.folder, 'class.txt');
  await writeFile(file, `bob:${PASSWORD}\n`);
  assert.equal((await admin('import-users', file)).code, 0);
  assert.equal(await guess('bob'), 0);
  assert.equal((await json('users', 'list'))[0].state, 'active');
});

test('the life of an account, from being added to being restored', async (t) => {
  const here = await place(t);
  const { admin, json, answers } = here;
  assert.deepEqual((await admin('users', 'add', 'Ålice', '--admin')).out, 'added ålice (admin)\n');
  assert.equal(await logsIn(here, 'A\u030alice', PASSWORD), true); // typed another way
  assert.equal(await logsIn(here, 'ålice', `${PASSWORD}!`), false);
  assert.deepEqual(await admin('users', 'add', 'ÅLICE'), {
    code: 5,
    out: '',
    err: 'driftless-admin: there is a user with this name (name_taken)\n',
  });
  const session = await begin(here, 'ålice');

  const [listed] = await json('users', 'list');
  assert.deepEqual([listed.name, listed.role, listed.state, listed.sessions], ['ålice', 'admin', 'active', 1]);
  assert.match((await admin('sessions', 'list')).out, new RegExp(`^session .*\n${session}  ålice  desk\\\\x1b\\[31m  `));
  assert.deepEqual(await json('users', 'set-role', 'ålice', 'user'), { user: 'ålice', role: 'user', sessionsEnded: 1 });
  assert.deepEqual(await json('sessions', 'list', 'ålice'), []);

  await begin(here, 'ålice');
  assert.equal((await admin('users', 'disable', 'ålice')).code, 0);
  assert.equal((await json('users', 'list'))[0].state, 'disabled');
  assert.equal((await admin('users', 'enable', 'ålice')).code, 0);
  answers.password = 'another one';
  await begin(here, 'ålice');
  assert.deepEqual(await json('users', 'reset-password', 'ålice'), { user: 'ålice', sessionsEnded: 1 });
  assert.equal(await logsIn(here, 'ålice', 'another one'), true);

  answers.yes = false;
  assert.equal((await admin('users', 'delete', 'ålice')).code, 130);
  assert.equal((await json('users', 'list'))[0].state, 'active');
  assert.equal((await admin('users', 'delete', 'ålice', '--yes')).code, 0);
  assert.equal((await json('users', 'list'))[0].state, 'deleted');
  for (const words of [
    ['add', 'ålice'],
    ['enable', 'ålice'],
    ['reset-password', 'ålice'],
    ['set-role', 'ålice', 'admin'],
    ['delete', 'ålice', '--yes'],
  ]) {
    const { code, err } = await admin('users', ...words);
    assert.ok([4, 5].includes(code) && err.includes('users restore'), words.join(' '));
  }
  answers.password = PASSWORD;
  assert.equal((await admin('users', 'restore', 'ålice')).code, 0);
  assert.equal(await logsIn(here, 'ålice', PASSWORD), true);
  const [restored] = await json('users', 'list');
  assert.deepEqual([restored.id, restored.role, restored.state], [listed.id, 'user', 'active']);
});

test('wrong usage says where the help of the command is', async (t) => {
  const { admin } = await place(t);
  assert.match(
    (await admin('users', 'add')).err,
    /^driftless-admin: missing required argument 'name'; see "driftless-admin users add --help"\n$/,
  );
  assert.match((await admin('users', 'nonsense')).err, /; see "driftless-admin users --help"\n$/);
});

test('sessions are ended one by one and all of a user', async (t) => {
  const here = await place(t);
  const { admin, json } = here;
  for (const name of ['alice', 'bob']) await admin('users', 'add', name);
  const [one, two, other] = [await begin(here, 'alice'), await begin(here, 'alice'), await begin(here, 'bob')];
  assert.equal((await json('sessions', 'list')).length, 3);
  assert.deepEqual(await json('sessions', 'end', one), { user: 'alice', session: one, sessionsEnded: 1 });
  assert.deepEqual(await json('sessions', 'end', one), { user: 'alice', session: one, sessionsEnded: 0 });
  assert.deepEqual((await json('sessions', 'list')).map(({ id }: { id: string }) => id).sort(), [two, other].sort());
  assert.deepEqual(await json('sessions', 'end', '--user', 'ALICE'), { user: 'alice', sessionsEnded: 1 });
  assert.deepEqual(
    (await json('sessions', 'list')).map(({ id }: { id: string }) => id),
    [other],
  );
  for (const words of [[], [other, '--user', 'bob']]) assert.equal((await admin('sessions', 'end', ...words)).code, 2);
  assert.equal((await admin('sessions', 'end', '0'.repeat(32))).code, 4);
  assert.match(
    (await admin('users', 'set-role', 'bob', 'admin')).out,
    /^bob is admin, .*; it holds from the next ticket .* or the next login\n$/,
  );
});

test('keys are listed and rotated, once in a minute', async (t) => {
  const { admin, json } = await place(t);
  const [first] = await json('keys', 'list');
  assert.equal(first.state, 'signs');
  const made = await json('keys', 'rotate');
  assert.deepEqual(
    made.map(({ state }: { state: string }) => state),
    ['signs', 'will sign'],
  );
  assert.equal(made[0].id, first.id);
  assert.deepEqual(await json('keys', 'list'), made);
  const { code, err } = await admin('keys', 'rotate');
  assert.equal(code, 6);
  assert.match(err, /\(busy\)\n$/);
});

test('what was done is written down with who did it, also when it failed, and no password is anywhere', async (t) => {
  const here = await place(t);
  const { admin, folder } = here;
  await admin('users', 'add', 'alice');
  await admin('keys', 'rotate');
  await admin('keys', 'rotate'); // refused
  await admin('users', 'delete', 'alice', '--yes');
  const { openAudit } = await import('../../Storage/audit_sql.ts');
  const audit = await openAudit({ kind: 'sqlite', file: join(folder, 'audit.db') }, { process: 'admin' });
  t.after(() => audit.close());
  const { entries } = await audit.page({ limit: 100 });
  const facts = entries.map(({ process: writer, what, result, userName, by }) => [writer, what, result, userName, by]).toReversed();
  assert.deepEqual(facts, [
    ['admin', 'user_added', 'ok', 'alice', 'operator'],
    ['admin', 'keys_rotated', 'ok', null, 'operator'],
    ['admin', 'keys_rotated', 'busy', null, 'operator'],
    ['admin', 'user_deleted', 'ok', 'alice', 'operator'],
  ]);
  for (const name of ['accounts.db', 'accounts.db-wal', 'audit.db', 'audit.db-wal', 'auth/secrets.json']) {
    const bytes = await readFile(join(folder, name)).catch(() => Buffer.alloc(0));
    assert.ok(!bytes.includes(PASSWORD), name);
  }
});

test('a wrong folder, a wrong owner, a bad name or password and an unknown user are refused before anything is written', async (t) => {
  const here = await place(t);
  const { admin, answers, json } = here;
  answers.uid = 12_345;
  for (const words of [
    ['users', 'add', 'bob'],
    ['keys', 'rotate'],
    ['users', 'list'],
  ]) {
    const { code, err } = await admin(...words);
    assert.equal(code, 1);
    assert.match(err, /belongs to another user .*sudo -u/);
  }
  answers.uid = process.getuid?.() ?? null;
  for (const [words, expected] of [
    [['users', 'add', 'a b'], 2],
    [['users', 'disable', 'nobody'], 4],
    [['users', 'set-role', 'nobody', 'admin'], 4],
    [['users', 'set-quota', 'nobody', '1G'], 4],
    [['users', 'nonsense'], 2],
    [['nonsense'], 2],
    [['users', 'add'], 2],
  ] as const) {
    assert.equal((await admin(...words)).code, expected, words.join(' '));
  }
  answers.password = 'short';
  assert.equal((await admin('users', 'add', 'bob')).code, 2);
  assert.deepEqual(await json('users', 'list'), []);
  await rm(join(here.folder, 'accounts.db'));
  const { code, err } = await admin('users', 'list');
  assert.equal(code, 1);
  assert.match(err, /there is no .*accounts\.db: set DRIFTLESS_DATA/);
});

test('every command has help with an example, and the whole is listed', async (t) => {
  const { admin } = await place(t);
  const { out } = await admin('--help');
  for (const { name, summary } of COMMANDS) {
    const words = name.split(' ');
    const help = await admin(...words, '--help');
    assert.equal(help.code, 0);
    assert.ok(help.out.includes(`driftless-admin ${name}`) && help.out.includes('--json') && help.out.includes('Examples:'), name);
    const listed = words.length === 1 ? out : (await admin(words[0] ?? '', '--help')).out;
    assert.ok(listed.includes(summary.slice(0, 30)), name);
    assert.ok(out.includes(words[0] ?? ''), name);
  }
});

test('users are imported several at a time, once, and the bad lines are told without what is in them', async (t) => {
  const here = await place(t);
  const { admin, folder } = here;
  await admin('users', 'add', 'there');
  const file = join(folder, 'class.txt');
  await writeFile(file, `alice:${PASSWORD}\nbob:${PASSWORD}\nBOB:another canary-9f2b7c\n${PASSWORD}\nthere:not this one\ncarol:canary\n`);
  const first = await admin('import-users', file);
  assert.equal(first.code, 1);
  assert.deepEqual(
    first.out.split('\n').map((line) => line.replace(/(?<=line \d: ).*/, '…')),
    ['line 4: …', 'line 6: …', '2 added, 2 there already, 2 bad lines', ''],
  );
  assert.ok(!`${first.out}${first.err}`.includes('canary'));
  assert.equal(await logsIn(here, 'alice', PASSWORD), true);
  assert.equal(await logsIn(here, 'there', PASSWORD), true);
  const again = await admin('import-users', file, '--json');
  const { added, existed, bad } = JSON.parse(again.out);
  assert.deepEqual([added, existed, bad.map(({ line }: { line: number }) => line)], [0, 4, [4, 6]]);
  const audit = await admin('audit', '--what', 'users_imported', '--json');
  assert.deepEqual(
    JSON.parse(audit.out).map(({ detail }: { detail: string }) => detail),
    ['0 added, 4 there already, 2 bad lines', '2 added, 2 there already, 2 bad lines'],
  );
  const missing = await admin('import-users', join(folder, 'none.txt'));
  assert.equal(missing.code, 1);
  assert.match(missing.err, /cannot read .*none\.txt \(local_io\)/);
});

test('an invitation code says where and whom, and its secret is stored as a hash', async (t) => {
  const here = await place(t);
  const { json, admin, folder } = here;
  const made = await admin('invite-code', '--uses', '3', '--expires', '1d', '--quota', '2GB', '--auth', 'files.example.org:4810', '--json');
  assert.equal(made.code, 0);
  const { code, ...facts } = JSON.parse(made.out);
  assert.deepEqual([facts.uses, facts.quota, facts.auth], [3, 2e9, 'files.example.org:4810']);
  const invite = decodeInvite(nodePrimitives, code);
  assert.equal(invite.auth, 'files.example.org:4810');
  assert.equal(invite.key, fingerprint(nodePrimitives, (await openSecrets(folder, { mayCreate: false })).boxPublicKey));
  const [stored] = await json('invite-codes');
  const digest = nodePrimitives.sha256(invite.secret);
  assert.deepEqual(
    [stored.id, stored.usesLeft, stored.quotaBytes, stored.madeBy],
    [Buffer.from(digest).toString('hex', 0, 6), 3, 2e9, 'operator'],
  );
  assert.ok(Math.abs(stored.expiresAtMs - Date.now() - 86_400_000) < 60_000);
  const plain = (await admin('invite-code')).out.trim();
  assert.equal(decodeInvite(nodePrimitives, plain).auth, '127.0.0.1:4810');
  assert.ok(!(await admin('audit')).out.includes(plain));
  for (const words of [
    ['--uses', '0'],
    ['--uses', 'x'],
    ['--expires', '1'],
    ['--quota', 'much'],
    ['--auth', 'nowhere'],
    ['--auth', 'a:1/b'],
  ]) {
    assert.equal((await admin('invite-code', ...words)).code, 2, words.join(' '));
  }
  assert.equal((await json('invite-codes')).length, 2);
});

test('a code is withdrawn by its id, however many were made after it', async (t) => {
  const { json, admin, folder } = await place(t);
  const { id } = JSON.parse((await admin('invite-code', '--uses', '2', '--json')).out);
  const accounts = await accountsIn(folder);
  const [expiresAtMs, madeAtMs] = [Date.now() + 86_400_000, Date.now() + 60_000];
  const later = { usesLeft: 1, expiresAtMs, quotaBytes: null, label: null, madeBy: 'root', madeAtMs };
  await Promise.all(Array.from({ length: 1000 }, () => accounts.addInviteCode({ ...later, digest: randomBytes(32) })));
  await accounts.close();
  assert.ok((await json('invite-codes')).every((one: { id: string }) => one.id !== id));
  for (const wrong of [id.slice(0, 11), `${id}00`]) assert.equal((await admin('invite-codes', 'withdraw', wrong)).code, 4, wrong);
  assert.deepEqual(await json('invite-codes', 'withdraw', id), { id, usesLeft: 2 });
  assert.equal((await admin('invite-codes', 'withdraw', id)).code, 4);
});

test('the server is asked to replace its key for HTTPS, once it has one', async (t) => {
  const { admin, json, folder } = await place(t);
  assert.match((await admin('keys', 'replace-certificate')).err, /there is no .*server/);
  const pin = randomBytes(32).toString('base64');
  await publishServerPins(folder, [pin, randomBytes(32).toString('base64')]);
  assert.deepEqual(await json('keys', 'replace-certificate'), { replaced: pin });
  assert.equal(await requestedReplacement(folder), pin);
});
