import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { probeDisk } from '../Client/sync/disk/probe.ts';
import { openSync, type PassReport, type Sync, type SyncEvent, type SyncOptions, type SyncStatus } from '../Client/sync.ts';
import { type FixtureOptions, openServer, type ServerFixture, type User } from '../Server/testing/server_fixture.ts';
import type { ClientConfig } from './sync_client.ts';
import { assertSameFolders } from './sync_equality.ts';
import { ticketSession } from './ticket_session.ts';

type Session = Parameters<typeof openSync>[0]['session'];
type Done = Extract<SyncEvent, { type: 'done' }>['done'];

/** A server that listens, and a folder for what the devices have. */
export type SyncWorld = AsyncDisposable & {
  readonly server: ServerFixture;
  readonly url: string;
  readonly folder: string;
  user(): Promise<User>;
};

export async function openWorld(options: FixtureOptions = {}): Promise<SyncWorld> {
  const stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'driftless-sync-')), (path) => rm(path, { recursive: true, force: true }));
  const server = stack.use(await openServer(options));
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.app.server.address() as AddressInfo;
  let users = 0;
  return {
    server,
    url: `http://127.0.0.1:${port}`,
    folder,
    user() {
      users += 1;
      return server.addUser(`user${users}`);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export type DeviceOptions = {
  readonly local?: string;
  readonly remote?: string;
  /** Where the server is for this device. */
  readonly url?: string;
  /** What its disk can do; found out by trying if not given. */
  readonly probe?: typeof probeDisk;
};

let made = 0;

/** One machine: a profile of its own, a synced folder, and the engine over it, which can be closed and opened again. */
export class Device {
  readonly id = randomBytes(16).toString('hex');
  readonly home: string;
  readonly local: string;
  readonly #session: Session;
  readonly #probe: typeof probeDisk;
  readonly #remote: string;
  readonly #names: () => Promise<string[]>;
  readonly #login: () => Promise<ClientConfig>;
  #sync: Sync | null = null;
  /** What was carried out since it was last asked. */
  #done: Done[] = [];

  constructor({ server, folder, url }: SyncWorld, user: User, options: DeviceOptions = {}) {
    made += 1;
    const parent = join(folder, `device-${made}`);
    this.home = join(parent, 'home');
    this.local = options.local ?? join(parent, 'local');
    this.#remote = options.remote ?? '/work';
    this.#probe = options.probe ?? probeDisk;
    const ticket = (): Promise<string> => server.ticketFor(user, { claims: { dev: this.id } });
    const own = { user: { id: user.id, name: user.name }, deviceId: this.id, sessionId: user.sessionId, serverUrl: options.url ?? url };
    this.#session = ticketSession(own, ticket);
    this.#names = async () => {
      const answer = await server.ask(user, { method: 'GET', url: `/v1/list?path=${encodeURIComponent(this.#remote)}` });
      const { entries }: { entries: { path: string }[] } = answer.json();
      return entries.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).sort();
    };
    this.#login = async () => ({
      ...{ home: this.home, local: this.local, remote: this.#remote },
      ticket: { text: await ticket(), serverUrl: options.url ?? url, userId: user.id, userName: user.name },
    });
    mkdirSync(this.home, { recursive: true });
    mkdirSync(this.local, { recursive: true });
  }

  /** For a process that is to sync the same folder in its stead. */
  login(): Promise<ClientConfig> {
    return this.#login();
  }

  /** What is directly in the remote folder. */
  remoteNames(): Promise<string[]> {
    return this.#names();
  }

  /** Resolves when it is in this state. */
  async until(wanted: SyncStatus['state']): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = setTimeout(() => reject(new Error(`it is ${this.sync.status().state}, not ${wanted}`)), PATIENCE_MS);
    const look = (): void => {
      if (this.sync.status().state === wanted) resolve();
    };
    const end = this.sync.on(look);
    look();
    await promise.finally(() => {
      clearTimeout(giveUp);
      end();
    });
  }

  async open(options: SyncOptions = {}): Promise<Sync> {
    const where = { session: this.#session, home: this.home, probe: this.#probe };
    this.#sync = await openSync(where, { local: this.local, remote: this.#remote }, options);
    this.#sync.on((event) => {
      if (event.type === 'done') this.#done.push(event.done);
    });
    return this.#sync;
  }

  get sync(): Sync {
    assert.ok(this.#sync !== null, 'it is not open');
    return this.#sync;
  }

  async close(): Promise<void> {
    await this.#sync?.close();
    this.#sync = null;
  }

  async reopen(options: SyncOptions = {}): Promise<void> {
    await this.close();
    await this.open(options);
  }

  /** @returns what was carried out since the last call */
  takeDone(): Done[] {
    const done = this.#done;
    this.#done = [];
    return done;
  }

  path(path: string): string {
    return join(this.local, path);
  }

  write(path: string, content: string | Uint8Array = path): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  read(path: string): string {
    return readFileSync(this.path(path), 'utf8');
  }

  has(path: string): boolean {
    return existsSync(this.path(path));
  }

  move(from: string, to: string): void {
    renameSync(this.path(from), this.path(to));
  }

  remove(path: string): void {
    rmSync(this.path(path), { recursive: true });
  }

  copy(from: string, to: string): void {
    cpSync(this.path(from), this.path(to), { recursive: true });
  }

  reason(path: string): string | undefined {
    return this.sync.explain(path)?.reason;
  }
}

/** @returns the devices, open, each with the same user's folder */
export async function openDevices(world: SyncWorld, count: number, options: DeviceOptions = {}): Promise<Device[]> {
  const user = await world.user();
  const devices = Array.from({ length: count }, () => new Device(world, user, options));
  for (const device of devices) await device.open();
  return devices;
}

/** Two devices that both watch from the beginning. */
export async function watching(world: SyncWorld, t: TestContext): Promise<[Device, Device]> {
  const [a, b] = await openDevices(world, 2);
  assert.ok(a !== undefined && b !== undefined);
  t.after(() => Promise.all([a.close(), b.close()]));
  await settle(a, b);
  for (const device of [a, b]) device.sync.start();
  for (const device of [a, b]) await device.until('idle');
  return [a, b];
}

const PATIENCE_MS = 60_000;
const ROUNDS_MAX = 30;
const STILL_MS = 20; // a file that was written to just now is still by then

/** Passes on each device, in turn, until none of them has anything to do. @returns the last report of each */
export async function settle(...devices: readonly Device[]): Promise<PassReport[]> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const reports: PassReport[] = [];
    for (const { sync } of devices) reports.push(await sync.once());
    const restless = devices.some(({ sync }) => sync.index.problems().some(({ reason }) => reason === 'still_changing'));
    if (reports.every(({ achieved }) => achieved === 0) && !restless) return reports;
    if (restless) await sleep(STILL_MS);
  }
  throw new Error(`after ${ROUNDS_MAX} rounds there is still something to do`);
}

/** Nothing is left to do anywhere, another pass does nothing, and all of them have the same. */
export async function assertConverged(devices: readonly Device[], except: readonly string[] = []): Promise<PassReport[]> {
  await settle(...devices);
  for (const device of devices) device.takeDone();
  const reports: PassReport[] = [];
  for (const device of devices) {
    reports.push(await device.sync.once());
    assert.deepEqual(device.takeDone(), [], 'a further pass does something');
  }
  const [first, ...others] = devices;
  for (const other of others) await assertSameFolders(first?.local ?? '', other.local, except);
  return reports;
}
