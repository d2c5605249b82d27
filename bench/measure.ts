import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/** What one run of a command cost, from its start to its exit. */
export type Cost = {
  readonly seconds: number;
  readonly wireBytes: number; // through the loopback interface, headers and acknowledgements of TCP included
  readonly clientRssBytes: number; // highest resident size of the command's process
  readonly serverRssBytes: number | null; // highest of the watched process during the run
};

export type Command = { readonly program: string; readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv };

const SAMPLE_MS = 20;
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
function highWaterBytes(pid: number): number | null {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
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
