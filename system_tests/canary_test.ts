import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, type Driftless, register } from '../Client/client.ts';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { privateEnvironment } from '../processes.ts';
import { openAudit } from '../Storage/audit_sql.ts';
import { findControls, findSecrets, type Secrets } from './canaries.ts';

const PROGRAMS = { auth: 'Authentication/auth_server.ts', server: 'Server/rest_server.ts' } as const;
const PASSWORD = `canary password ${randomBytes(6).toString('hex')}`;
const WRONG = `canary guess ${randomBytes(6).toString('hex')}`;
const LINK_PASSWORD = `canary link ${randomBytes(6).toString('hex')}`;
/** Sets the title of a terminal, clears it, turns the reading order, ends a line, and does so in eight bits too. */
const HOSTILE = '\u001b]0;owned\u0007\u001b[2J\u202etxt\u009b2J\r\nlevel=50';

let folder: string;
let env: NodeJS.ProcessEnv;
const children: ChildProcess[] = [];
const printed = new Map<string, string>();

/** With all that it prints. */
async function start(name: keyof typeof PROGRAMS): Promise<void> {
  const program = fileURLToPath(new URL(`../${PROGRAMS[name]}`, import.meta.url));
  const child = spawn(process.execPath, [program], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  for (const stream of [child.stdout, child.stderr]) {
    stream
      .setEncoding('utf8')
      .on('data', (piece: string) => printed.set(`output of ${name}`, `${printed.get(`output of ${name}`) ?? ''}${piece}`));
  }
  while (!printed.get(`output of ${name}`)?.includes('listening')) await once(child.stdout, 'data');
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-canary-'));
  env = { ...(await privateEnvironment(folder, process.env)), DRIFTLESS_LOG_LEVEL: 'trace' };
  await start('auth');
  await start('server');
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

const who = (username: string) => ({
  username,
  password: PASSWORD,
  auth: `127.0.0.1:${env.DRIFTLESS_AUTH_PORT}`,
  home: join(folder, username),
});
const port = (): number => Number(env.DRIFTLESS_HTTP_PORT);

async function admin(...words: string[]): Promise<string> {
  const program = fileURLToPath(new URL('../Authentication/admin/driftless_admin.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], { env });
  return stdout.trim();
}

/** One request as it comes, whatever stands in it. */
async function raw(head: string, body = ''): Promise<void> {
  const socket = connectTcp(port(), '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.end(`${head}\r\n\r\n${body}`);
  await text(socket).catch(() => '');
}

async function send(path: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<number> {
  const sent = httpRequest({ port: port(), host: '127.0.0.1', path, method, headers, agent: false });
  sent.end(body);
  const [answer] = await once(sent, 'response');
  await text(answer);
  return answer.statusCode;
}

/** A ticket, good or not any more, in every place that a client could put it in. */
async function misuse(ticket: string): Promise<void> {
  const bearer = { authorization: `Bearer ${ticket}` };
  await send(`${ROUTES.whoami}?ticket=${ticket}`, {});
  await send(`/v1/${ticket}`, bearer);
  await send(`/v1/files/${ticket}/%zz`, bearer);
  await send(ROUTES.whoami, { ...bearer, host: 'evil.example', cookie: ticket, referer: ticket, 'user-agent': ticket });
  await send(ROUTES.whoami, { authorization: `Basic ${ticket}` });
  await send(ROUTES.files, { ...bearer, 'content-type': `multipart/form-data; boundary=${ticket.slice(0, 60)}` }, 'POST', ticket);
  await send(ROUTES.folders, { ...bearer, 'content-type': 'application/json' }, 'POST', `{"path":"/${ticket}"`);
  await send(ROUTES.folders, { ...bearer, 'content-type': 'application/json' }, 'POST', JSON.stringify({ path: `${ticket}`, [ticket]: 1 }));
  await send(ROUTES.folders, { ...bearer, 'content-type': ticket }, 'POST', ticket);
  await send(`${ROUTES.files}?path=/${ticket}`, { ...bearer, range: ticket, 'if-match': ticket, 'idempotency-key': ticket });
  await send(`${ROUTES.list}?after=${ticket}&limit=${ticket}`, bearer);
  await send(`${ROUTES.push}?stream=${ticket}`, { ...bearer, 'content-type': 'application/vnd.driftless.frames' }, 'POST', ticket);
  await raw(`GET /v1/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${ticket}\r\nAuthorization : ${ticket}`);
  await raw(`${ticket} / HTTP/1.1\r\nHost: 127.0.0.1`);
}

async function hostileNames(alice: Driftless): Promise<void> {
  const bearer = { authorization: `Bearer ${await alice.ticket()}` };
  const json = { ...bearer, 'content-type': 'application/json' };
  for (const name of [HOSTILE, '\u202eexe.txt', '\u009b31m', 'a\u2028b']) {
    const path = `/${name}`;
    for (const route of [ROUTES.entry, ROUTES.list, ROUTES.files, ROUTES.preview])
      await send(`${route}?${new URLSearchParams({ path })}`, bearer);
    await send(ROUTES.folders, json, 'POST', JSON.stringify({ path }));
    await send(ROUTES.invitations, json, 'POST', JSON.stringify({ path: '/', user: name, message: name }));
    await send(ROUTES.links, json, 'POST', JSON.stringify({ path, password: name }));
    await send(ROUTES.webhooks, json, 'POST', JSON.stringify({ url: `https://${name}` }));
    await send(ROUTES.limits, json, 'POST', JSON.stringify({ user: name, quota: 1 }));
    await send(ROUTES.whoami, { ...bearer, 'user-agent': encodeURIComponent(name), host: '127.0.0.1' });
  }
  await raw(`GET /${HOSTILE} HTTP/1.1\r\nHost: ${HOSTILE}`);
  await raw(`G\u001b[2JT / HTTP/1.1\r\nHost: 127.0.0.1\r\nX\u0007: \u001b`);
}

async function linkSecrets(alice: Driftless): Promise<Secrets> {
  await writeFile(join(folder, 'shown'), 'shown');
  await alice.upload(join(folder, 'shown'), '/shown');
  const { url } = await alice.createLink('/shown', { password: LINK_PASSWORD });
  const path = new URL(url).pathname;
  const token = path.split('/').at(-1) ?? '';
  const password = (value: string) => ({ 'link-password': Buffer.from(value).toString('latin1') });
  assert.equal(await send(path, password(LINK_PASSWORD)), 200);
  assert.equal(await send(path, password(WRONG)), 401);
  for (let n = 0; n < LIMITS.linkPasswordsPerAddressMax; n += 1)
    await send(path, { authorization: `Basic ${Buffer.from(`:${WRONG}`).toString('base64')}` });
  await send(path, { 'content-type': 'application/x-www-form-urlencoded' }, 'POST', `password=${encodeURIComponent(WRONG)}`);
  await send(
    path,
    { 'content-type': 'application/x-www-form-urlencoded' },
    'POST',
    `password=${encodeURIComponent(LINK_PASSWORD)}&${'x'.repeat(9000)}`,
  );
  await send(`${path}/%ff`, password(LINK_PASSWORD));
  await send(`${path}/up`, password(LINK_PASSWORD), 'PUT', 'x');
  await send(`${path}?as=nonsense`, {});
  await raw(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nLink-Password : ${LINK_PASSWORD}`);
  return { 'the token of a link': token };
}

test('no secret is in a log, in the audit record or in what the processes print, and nothing that a terminal obeys', async () => {
  const code = await admin('invite-code', '--uses', '1');
  const alice = await register(who('alice'));
  await (await register({ ...who('bob'), auth: undefined, invite: code })).close();
  await assert.rejects(register({ ...who('carol'), auth: undefined, invite: code }), { code: 'invite_invalid' });
  await assert.rejects(connect({ ...who('alice'), password: WRONG }), { code: 'credentials_wrong' });
  await assert.rejects(connect({ ...who('alice'), username: WRONG.replaceAll(' ', '-') }), { code: 'credentials_wrong' });
  const profile = JSON.parse(await readFile(join(folder, 'alice', 'profile.json'), 'utf8'));
  const { renewalSecret, sessionId } = profile.sessions[0];
  const ticket = await alice.ticket();
  const link = await linkSecrets(alice);
  await misuse(ticket);
  await misuse(`${ticket.slice(0, -4)}AAAA`);
  await hostileNames(alice);
  await alice.logout();
  while ((await send(ROUTES.whoami, { authorization: `Bearer ${ticket}` })) === 200) await sleep(50);
  await misuse(ticket);
  for (const child of children) {
    child.kill('SIGTERM');
    await once(child, 'close');
  }

  const written = new Map(printed);
  for (const name of await readdir(join(folder, 'logs'))) written.set(name, await readFile(join(folder, 'logs', name), 'utf8'));
  const audit = await openAudit({ kind: 'sqlite', file: join(folder, 'data', 'audit.db') }, { process: 'admin' });
  const { entries, next } = await audit.page({ limit: LIMITS.auditPageMax });
  await audit.close();
  assert.equal(next, null);
  written.set('the audit record', entries.map((entry) => Object.values(entry).join(' ')).join('\n'));

  const secrets: Secrets = {
    'the password': PASSWORD,
    'a wrong password': WRONG,
    'a wrong password typed as a name': WRONG.replaceAll(' ', '-'),
    'the password of a link': LINK_PASSWORD,
    ...link,
    'the invitation code': code,
    'the secret of the invitation code': code.slice(-24),
    'the renewal secret': Buffer.from(renewalSecret, 'base64url'),
    'the ticket': ticket,
    'the signature of the ticket': ticket.split('.')[2] ?? '',
  };
  assert.deepEqual(findSecrets(written, secrets), []);
  assert.deepEqual(findControls(written), []);

  // it would have been found: what is no secret is in each of them
  const { id } = profile.sessions[0].user;
  const places = findSecrets(written, { id, sessionId }).map((found) => found.replace(/ as .*/, ''));
  assert.ok(
    places.includes('id in auth.log') && places.includes('id in server.log') && places.includes('id in the audit record'),
    `${places}`,
  );
  assert.deepEqual(findControls(new Map([['here', HOSTILE]])).length, 5);
  assert.deepEqual(findSecrets(new Map([['here', Buffer.from(`..${PASSWORD}..`).toString('hex')]]), { PASSWORD }), [
    'PASSWORD in here as hex',
  ]);
  const kinds = new Set(entries.map(({ what, result }) => `${what} ${result}`));
  for (const kind of [
    'login ok',
    'registration ok',
    'registration invite_invalid',
    'logout ok',
    'ticket ticket_invalid',
    'ticket ticket_revoked',
  ]) {
    assert.ok(kinds.has(kind), `${kind} is not among ${[...kinds]}`);
  }
  for (const kind of ['link_password credentials_wrong', 'link_password too_many_requests', 'forbidden forbidden'])
    assert.ok(kinds.has(kind), kind);
});
