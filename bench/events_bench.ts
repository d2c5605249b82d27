import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LIMITS } from '../Models/limits.ts';
import { ROUTES } from '../Models/routes.ts';
import { highWaterBytes, percentile, residentBytes } from './measure.ts';
import { type Ours, startOurs } from './ours.ts';
import { bytesText, figureRow, type Row } from './report.ts';

const USERS = 4;
const CLIENTS = 200;
const CHANGES_PER_SECOND = 20;
const SECONDS = 60;
const P99_MS_MAX = 100;
const SERVER_BYTES_MAX = 400 * 1024 * 1024;
const IDLE = 5000;
const IDLE_BYTES_MAX = 20 * 1024;
const WARM_UP = 200; // connections before the first look at the memory
const SETTLE_MS = 3000;

type User = { readonly ticket: string };
type Api = (user: User, method: string, route: string, body?: object) => Promise<ReturnType<JSON['parse']>>;

/** Whether everybody hears everything that happens, how soon, and what a connection costs that hears nothing. */
export async function* measureEvents({ folder, scale }: { readonly folder: string; readonly scale: number }): AsyncGenerator<Row> {
  const home = join(folder, 'system-events');
  await mkdir(home);
  try {
    await using ours = await startOurs(home);
    yield await told(ours, scale);
    yield await idle(ours, scale);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function newUser(ours: Ours): Promise<User> {
  const { program, args, env } = (await ours.newUser())('ticket');
  const { stdout } = await promisify(execFile)(program, [...args], { env });
  return { ticket: stdout.trim() };
}

function apiOf(base: string): Api {
  return async ({ ticket }, method, route, body) => {
    const headers = { authorization: `Bearer ${ticket}`, ...(body !== undefined && { 'content-type': 'application/json' }) };
    const answer = await fetch(base + route, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  };
}

/** What one client heard: the paths in the order they came, and ms from the commit on. */
type Heard = { readonly paths: string[]; readonly waitsMs: number[]; readonly socket: WebSocket };

async function openClient(base: string, { ticket }: User): Promise<Heard> {
  const socket = new WebSocket(`${base.replace('http', 'ws')}${ROUTES.events}?since=now`, {
    headers: { authorization: `Bearer ${ticket}` },
  });
  const heard: Heard = { paths: [], waitsMs: [], socket };
  const connected = Promise.withResolvers<void>();
  socket.addEventListener('message', ({ data }) => {
    const nowMs = Date.now();
    const { type, path, at } = JSON.parse(String(data)) as { type: string; path: string; at: string };
    if (type === 'connected') connected.resolve();
    if (type !== 'changed') return;
    heard.paths.push(path);
    heard.waitsMs.push(nowMs - Date.parse(at));
  });
  socket.addEventListener('close', () => connected.reject(new Error('the connection was closed')));
  await connected.promise;
  return heard;
}

async function told(ours: Ours, scale: number): Promise<Row> {
  const base = ours.system.httpUrl;
  const api = apiOf(base);
  const owner = await newUser(ours);
  const guests: User[] = [];
  await api(owner, 'POST', ROUTES.folders, { path: '/all' });
  while (guests.length < USERS - 1) {
    const guest = await newUser(ours);
    const { user } = await api(guest, 'GET', ROUTES.whoami);
    const { id } = await api(owner, 'POST', ROUTES.invitations, { path: '/all', user, role: 'editor' });
    await api(guest, 'POST', `${ROUTES.invitations}/${id}/accept`);
    guests.push(guest);
  }
  const users = [owner, ...guests];
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => openClient(base, users[i % USERS] as User)));
  const changes = Math.max(20, Math.round(CHANGES_PER_SECOND * SECONDS * scale));
  const expected = Array.from({ length: changes }, (_, n) => `/all/${n}`);
  const begun = performance.now();
  for (const [n, path] of expected.entries()) {
    await sleep(Math.max(0, begun + (n * 1000) / CHANGES_PER_SECOND - performance.now()));
    await api(users[n % USERS] as User, 'POST', ROUTES.folders, { path });
  }
  await sleep(1000);
  const wrong = clients.filter(({ paths }) => paths.length !== changes || paths.some((path, n) => path !== expected[n])).length;
  const waits = clients.flatMap(({ waitsMs }) => waitsMs);
  const serverBytes = highWaterBytes(ours.serverPid) ?? Number.POSITIVE_INFINITY;
  for (const { socket } of clients) socket.close();
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(waits, share)) as [number, number, number];
  return figureRow({
    name: 'events',
    target: `${CLIENTS} clients, each change once and in order, p99 ≤ ${P99_MS_MAX} ms, ≤ ${bytesText(SERVER_BYTES_MAX)}`,
    ours: `${wrong} clients wrong of ${CLIENTS}; ${changes} changes: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms`,
    memory: bytesText(serverBytes),
    met: wrong === 0 && p99 <= P99_MS_MAX && serverBytes <= SERVER_BYTES_MAX,
  });
}

/** A WebSocket without a client: what it costs here must not slow down what is measured there. */
async function openIdle(base: string, { ticket }: User): Promise<Socket> {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  const key = Buffer.alloc(16).toString('base64');
  socket.write(
    `GET ${ROUTES.events} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${ticket}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (!answer.toString('latin1').startsWith('HTTP/1.1 101 ')) throw new Error(answer.toString('latin1'));
  socket.resume();
  return socket;
}

async function idle(ours: Ours, scale: number): Promise<Row> {
  const base = ours.system.httpUrl;
  const count = Math.round(IDLE * scale);
  const perUser = Math.floor(LIMITS.eventLinksPerUserMax / 2);
  const users: User[] = [];
  while (users.length < Math.ceil((count + WARM_UP) / perUser)) users.push(await newUser(ours));
  const sockets: Socket[] = [];
  const open = async (upTo: number): Promise<number> => {
    while (sockets.length < upTo) sockets.push(await openIdle(base, users[Math.floor(sockets.length / perUser)] as User));
    await sleep(SETTLE_MS);
    return residentBytes(ours.serverPid) ?? Number.NaN;
  };
  const before = await open(WARM_UP);
  const after = await open(WARM_UP + count);
  for (const socket of sockets) socket.destroy();
  const each = (after - before) / count;
  return figureRow({
    name: 'events-idle',
    target: `≤ ${bytesText(IDLE_BYTES_MAX)} for each of ${IDLE.toLocaleString('en')} idle connections`,
    ours: `${(each / 1024).toFixed(1)} KiB each of ${count}`,
    memory: bytesText(after),
    met: each <= IDLE_BYTES_MAX,
  });
}
