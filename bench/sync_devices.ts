import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command, Watched } from './measure.ts';
import { type Ours, startOurs, type UserCommand } from './ours.ts';

/** A process that keeps a folder the same: `driftless sync FOLDER /work`. */
export type Device = AsyncDisposable & { readonly folder: string; readonly pid: number };

/** Two devices of one user, both watching, and the server between them. */
export type Pair = AsyncDisposable & {
  readonly ours: Ours;
  readonly first: Device;
  readonly second: Device;
  readonly watched: Watched;
};

export async function startPair(folder: string): Promise<Pair> {
  const stack = new AsyncDisposableStack();
  await mkdir(folder);
  const ours = stack.use(await startOurs(folder));
  const [one, other] = (await ours.newDevices(2)) as [UserCommand, UserCommand];
  const first = stack.use(await startDevice(one, join(folder, 'first')));
  const second = stack.use(await startDevice(other, join(folder, 'second')));
  return {
    ours,
    first,
    second,
    watched: { clients: [first.pid, second.pid], server: ours.serverPid },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Starts to keep `folder` the same, and waits until it is. */
export async function startDevice(command: UserCommand, folder: string): Promise<Device> {
  await mkdir(folder, { recursive: true });
  const child = spawnOf(command('sync', folder, '/work', '--json'));
  const ended = once(child, 'close');
  const ready = Promise.withResolvers<void>();
  let printed = '';
  child.stdout.on('data', (bytes: Buffer) => {
    if (printed === 'ready') return; // read, so that it can go on, and no more
    printed = (printed + bytes.toString()).slice(-4096);
    if (!printed.includes('"state":"idle"')) return;
    printed = 'ready';
    ready.resolve();
  });
  ended.then(() => ready.reject(new Error(`driftless sync ended: ${printed}`)), ready.reject);
  await ready.promise;
  if (child.pid === undefined) throw new Error('a process without a number');
  return {
    folder,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill('SIGINT');
      await ended;
    },
  };
}

function spawnOf({ program, args, env }: Command) {
  return spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
}
