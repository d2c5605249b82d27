import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../processes.ts';
import { type Command, measure } from './measure.ts';

export type Unison = AsyncDisposable & {
  readonly from: string;
  /** One run that makes both sides the same. */
  readonly sync: Command;
};

const ATTEMPTS_MAX = 50;

/** A server on a free port and two folders below `folder` that were synced once. @returns `null` when Unison is not installed */
export async function startUnison(folder: string): Promise<Unison | null> {
  if (spawnSync('unison', ['-version']).status !== 0) return null;
  const [from, to, ours, theirs] = ['from', 'to', 'state', 'server-state'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [from, to, ours, theirs]) await mkdir(path, { recursive: true });
  const port = await freePort('tcp');
  const server = spawn('unison', ['-socket', String(port)], { env: { ...process.env, UNISON: theirs }, stdio: 'ignore' });
  const args = [from, `socket://127.0.0.1:${port}/${to}`, '-batch', '-silent', '-confirmbigdel=false'];
  const sync: Command = { program: 'unison', args, env: { ...process.env, UNISON: ours } };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await measure(sync, null);
      break;
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error;
      await sleep(100);
    }
  }
  return {
    from,
    sync,
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'close');
      server.kill();
      await ended;
    },
  };
}
