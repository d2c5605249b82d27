import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../processes.ts';
import type { Command } from './measure.ts';

export type Rsync = AsyncDisposable & {
  /** `rsync -a FROM TO`; a path in the daemon's folder is written `module(path)`. Durable only as far as the system writes by itself: no --fsync. */
  readonly copy: (from: string, to: string) => Command;
  readonly module: (path: string) => string;
};

const READY_MS_MAX = 5_000;

/** An rsync daemon on a free loopback port that serves `folder`. @returns `null` when rsync is not installed */
export async function startRsync(folder: string): Promise<Rsync | null> {
  if (spawnSync('rsync', ['--version']).status !== 0) return null;
  const served = join(folder, 'served');
  await mkdir(served, { recursive: true });
  const port = await freePort('tcp');
  const config = join(folder, 'rsyncd.conf');
  const asRoot = process.getuid?.() === 0 ? ['uid = root', 'gid = root'] : [];
  const lines = ['use chroot = no', ...asRoot, 'address = 127.0.0.1', `port = ${port}`, '[bench]', `path = ${served}`, 'read only = no'];
  await writeFile(config, `${lines.join('\n')}\n`);
  const daemon = spawn('rsync', ['--daemon', '--no-detach', `--config=${config}`], { stdio: 'ignore' });
  await answering(port);
  return {
    copy: (from, to) => ({ program: 'rsync', args: ['-a', from, to], env: process.env }),
    module: (path) => `rsync://127.0.0.1:${port}/bench/${path}`,
    async [Symbol.asyncDispose]() {
      const ended = once(daemon, 'close');
      daemon.kill();
      await ended;
    },
  };
}

async function answering(port: number): Promise<void> {
  for (const since = Date.now(); ; ) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() - since > READY_MS_MAX) throw error;
      await sleep(20);
    } finally {
      socket.destroy();
    }
  }
}
