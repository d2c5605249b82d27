import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What one run of a command cost from its start to its exit, or what a change cost until it was everywhere. */
export type Cost = {
  readonly seconds: number;
  readonly wireBytes: number; // through the loopback interface, headers and acknowledgements of TCP included
  readonly clientRssBytes: number; // highest resident size of the command's process, or of one of the devices
  readonly serverRssBytes: number | null; // highest of the watched process during the run
};

export type Command = { readonly program: string; readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv };

const SAMPLE_MS = 20;
const WAIT_POLL_MS = 2;
const AFTER_MS = 300; // what follows a change is sent by then
const RUN_MS_MAX = 20 * 60_000;

/**
 * Runs a command and measures it. Everything written before is synced first, so that no run pays for another.
 * @param serverPid process whose memory is watched, or `null`
 * @throws Error with what the command printed, if it fails
 */
export async function measure(command: Command, serverPid: number | null): Promise<Cost> {
  execFileSync('sync');
  if (serverPid !== null) writeFileSync(`/proc/${serverPid}/clear_refs`, '5'); // the high-water mark starts anew
  const wireBefore = loopbackBytes();
  const start = performance.now();
  const clientRssBytes = await run(command);
  const seconds = (performance.now() - start) / 1000;
  const serverRssBytes = serverPid === null ? null : highWaterBytes(serverPid);
  return { seconds, wireBytes: loopbackBytes() - wireBefore, clientRssBytes, serverRssBytes };
}

export type Watched = { readonly clients: readonly number[]; readonly server: number | null };

/**
 * Does something, and measures until its effect is there.
 * @param isDone asked every 2 ms, so it must be cheap
 * @param watched processes whose memory is watched
 * @throws Error when it takes longer than 20 minutes
 */
export async function measureUntil(act: () => void, isDone: () => boolean, { clients, server }: Watched): Promise<Cost> {
  execFileSync('sync');
  for (const pid of [...clients, ...(server === null ? [] : [server])]) writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const wireBefore = loopbackBytes();
  const start = performance.now();
  act();
  while (!isDone()) {
    await sleep(WAIT_POLL_MS);
    if (performance.now() - start > RUN_MS_MAX) throw new Error('the change did not arrive');
  }
  const seconds = (performance.now() - start) / 1000;
  await sleep(AFTER_MS);
  return {
    seconds,
    wireBytes: loopbackBytes() - wireBefore,
    clientRssBytes: Math.max(0, ...clients.map((pid) => highWaterBytes(pid) ?? 0)),
    serverRssBytes: server === null ? null : highWaterBytes(server),
  };
}

/** @returns the highest resident size seen, bytes */
async function run({ program, args, env }: Command): Promise<number> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: RUN_MS_MAX });
  let printed = '';
  child.stderr.on('data', (bytes: Buffer) => {
    if (printed.length < 4096) printed += bytes.toString();
  });
  let rssBytes = 0;
  const sampler = setInterval(() => {
    if (child.pid !== undefined) rssBytes = Math.max(rssBytes, highWaterBytes(child.pid) ?? 0);
  }, SAMPLE_MS);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${printed}`);
  } finally {
    clearInterval(sampler);
  }
  return rssBytes;
}

/** VmHWM of a process; `null` when it is gone or has no memory of its own any more. */
export function highWaterBytes(pid: number): number | null {
  return statusBytes(pid, /^VmHWM:\s+(\d+) kB$/m);
}

/** VmRSS of a process; `null` as for `highWaterBytes`. */
export function residentBytes(pid: number): number | null {
  return statusBytes(pid, /^VmRSS:\s+(\d+) kB$/m);
}

function statusBytes(pid: number, line: RegExp): number | null {
  try {
    const kib = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

function loopbackBytes(): number {
  const received = /^\s*lo:\s*(\d+)/m.exec(readFileSync('/proc/net/dev', 'utf8'))?.[1];
  if (received === undefined) throw new Error('no loopback interface in /proc/net/dev');
  return Number(received);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('no values');
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** The value that a share of all is not above: 0.99 is the 99th percentile. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (value === undefined) throw new Error('no values');
  return value;
}
