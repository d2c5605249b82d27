import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { encodeClient } from './Models/datagrams.ts';

/** The two processes of Driftless, for whoever starts them: `npm start`, the full system test, the system tests, the bench. */
const MAINS = { auth: 'Authentication/auth_server.ts', server: 'Server/rest_server.ts' } as const;
export type ProcessName = keyof typeof MAINS;

const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;

export type StartOptions = {
  readonly env: NodeJS.ProcessEnv;
  /** Working directory: `./data` and `./logs` are below it unless `env` says otherwise. */
  readonly folder: string;
  /** Shows what the process prints to standard error; without it that text is only part of the error when it cannot start. */
  readonly showErrors?: boolean;
  /** Whom it runs as, numbers of the system; only root may say. */
  readonly uid?: number;
  readonly gid?: number;
};

export type Running = {
  readonly name: ProcessName;
  readonly pid: number;
  /** Where it listens: `udp://HOST:PORT` or `http://HOST:PORT`. */
  readonly url: string;
  /** Resolves when the process has ended, however it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Asks it to end and waits; kills it if it takes longer than 20 s. */
  stop(): Promise<void>;
  /** SIGKILL, and waits: no code of the process runs after this. */
  kill(): Promise<void>;
};

/**
 * Starts one process and waits until it says `driftless NAME listening on URL`.
 * @throws Error with what the process printed, if it ends before that or takes longer than 30 s
 */
export async function startProcess(name: ProcessName, options: StartOptions): Promise<Running> {
  const main = fileURLToPath(new URL(MAINS[name], import.meta.url));
  const child = spawn(process.execPath, [main], {
    cwd: options.folder,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...userOf(options),
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  const printed: string[] = [];
  child.stderr.on('data', (bytes: Buffer) => {
    if (options.showErrors) process.stderr.write(bytes);
    if (printed.length < 100) printed.push(bytes.toString());
  });
  const url = await Promise.race([readyUrl(child, name), ended.then(() => null), timeout(READY_MS_MAX)]);
  if (url === null || child.pid === undefined) {
    child.kill('SIGKILL');
    await ended;
    const said = options.showErrors ? 'see above' : printed.join('').trim() || 'it said nothing';
    throw new Error(`driftless ${name} did not start: ${said}`);
  }
  let asked = false;
  const finish = (signal: NodeJS.Signals): Promise<void> => {
    asked = true;
    return end(child, ended, signal);
  };
  ended.then(({ code, signal }) => {
    if (!asked && !options.showErrors) console.error(`driftless ${name} ended by itself (${signal ?? code}): ${printed.join('').trim()}`);
  }, console.error);
  return { name, pid: child.pid, url, ended, stop: () => finish('SIGTERM').then(() => keepLogs(options)), kill: () => finish('SIGKILL') };
}

function userOf({ uid, gid }: StartOptions): { uid?: number; gid?: number } {
  return { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
}

function readyUrl(child: ChildProcess, name: ProcessName): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  if (child.stdout === null) throw new Error('standard output is not a pipe');
  createInterface(child.stdout).on('line', (line) => {
    const url = new RegExp(`^driftless ${name} listening on (\\S+)`).exec(line)?.[1];
    if (url !== undefined) resolve(url);
  });
  return promise;
}

async function end(child: ChildProcess, ended: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  if ((await Promise.race([ended, timeout(STOP_MS_MAX)])) === null) child.kill('SIGKILL');
  await ended;
}

/** Where `DRIFTLESS_KEEP_LOGS` names a folder, what was written below the working directory is kept there, and outlives it. */
async function keepLogs({ env, folder }: StartOptions): Promise<void> {
  if (env.DRIFTLESS_KEEP_LOGS === undefined) return;
  const { keepWritten } = await import('./system_tests/writings.ts');
  await keepWritten(folder, env.DRIFTLESS_KEEP_LOGS);
}

function timeout(ms: number): Promise<null> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, null).unref();
  });
}

/**
 * Below those that systems give out by themselves, so that nobody has one of them by chance before it is used. Each process begins elsewhere: a step of
 * the golden section, which has no divisor in common with `count`, keeps 300 that were started one after another 40 ports and more apart.
 */
const PORTS = { first: 10_000, count: 22_000, step: 13_599 } as const;
let portsTaken = 0;

/** @param taken how many it has tried before */
export function portOf(pid: number, taken: number): number {
  return PORTS.first + ((pid * PORTS.step + taken) % PORTS.count);
}

/** A port of 127.0.0.1 that nobody uses, another one each time. */
export async function freePort(protocol: 'udp' | 'tcp'): Promise<number> {
  for (; portsTaken < PORTS.count; ) {
    const port = portOf(process.pid, portsTaken);
    portsTaken += 1;
    if (await isFree(protocol, port)) return port;
  }
  throw new Error('no port is free');
}

async function isFree(protocol: 'udp' | 'tcp', port: number): Promise<boolean> {
  const tried = protocol === 'udp' ? createSocket('udp4').bind(port, '127.0.0.1') : createServer().listen(port, '127.0.0.1');
  const listens = await once(tried, 'listening').then(
    () => true,
    () => false,
  );
  await new Promise<void>((resolve) => tried.close(() => resolve()));
  return listens;
}

const ANSWER_MS_MAX = 500;

/** Whether a daemon answers at `address` (HOST:PORT): a datagram without a cookie gets one back, and changes nothing. */
export async function daemonAnswers(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`udp://${address}`);
  const renew = encodeClient('renew', randomBytes(16), {
    cookie: Buffer.alloc(16),
    timeMs: Buffer.alloc(8),
    sessionId: Buffer.alloc(16),
    mac: Buffer.alloc(32),
  });
  const socket = createSocket('udp4');
  const answered = new Promise<boolean>((resolve) => {
    socket.once('message', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  try {
    socket.connect(Number(port), hostname);
    socket.once('connect', () => socket.send(renew));
    return (await Promise.race([answered, timeout(ANSWER_MS_MAX)])) === true;
  } finally {
    socket.close();
  }
}

export type System = AsyncDisposable & {
  /** What a client needs to know: `HOST:PORT` of the daemon. */
  readonly auth: string;
  readonly httpUrl: string;
  readonly running: Record<ProcessName, Running>;
  /** Starts one of them again with the environment and on the port it had. */
  restart(name: ProcessName): Promise<void>;
};

/** The environment of a system of its own below `folder`, on free ports: nothing is shared with other systems on this machine. */
export async function privateEnvironment(folder: string, outer: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  return {
    ...outer,
    DRIFTLESS_HOST: '127.0.0.1',
    DRIFTLESS_DATA: join(folder, 'data'),
    DRIFTLESS_LOGS: join(folder, 'logs'),
    DRIFTLESS_DATABASE: undefined,
    DRIFTLESS_PUBLIC_URL: undefined,
    DRIFTLESS_AUTH_PORT: String(await freePort('udp')),
    DRIFTLESS_HTTP_PORT: String(await freePort('tcp')),
  };
}

/** Starts the daemon, then the server. @throws Error as `startProcess` */
export async function startSystem(options: StartOptions): Promise<System> {
  const auth = await startProcess('auth', options);
  const server = await startProcess('server', options).catch(async (cause: unknown) => {
    await auth.stop();
    throw cause;
  });
  const running = { auth, server };
  return {
    auth: auth.url.slice('udp://'.length),
    httpUrl: server.url,
    running,
    async restart(name) {
      running[name] = await startProcess(name, options);
    },
    async [Symbol.asyncDispose]() {
      await running.server.stop();
      await running.auth.stop();
    },
  };
}
