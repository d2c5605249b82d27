import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from './measure.ts';
import { startOurs } from './ours.ts';
import { figureRow, type Row } from './report.ts';
import { makeTree, WORKLOADS } from './workloads.ts';

const READY_SECONDS_MAX = 5;
const FILES = 1_000_000;

export type RestartOptions = { readonly folder: string; readonly runs: number; readonly scale: number; readonly seed: string };

/** How long a server with a million files takes from SIGKILL to `ready`, the start of its process included. */
export async function measureRestart({ folder, runs, scale, seed }: RestartOptions): Promise<Row> {
  const home = join(folder, 'system-restart');
  const source = join(folder, 'source-restart');
  await mkdir(home);
  makeTree(source, 'many', seed, scale);
  try {
    await using ours = await startOurs(home);
    const command = await ours.newUser();
    await measure(command('put', source, '/copy-0'), null);
    const copies = FILES / (WORKLOADS.many.folders * WORKLOADS.many.filesPerFolder);
    for (let copy = 1; copy < copies; copy += 1) await measure(command('cp', '/copy-0', `/copy-${copy}`), null);
    const seconds: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      await ours.system.running.server.kill();
      const since = performance.now();
      await ours.system.restart('server');
      const answer = await fetch(`${ours.system.httpUrl}/readyz`);
      if (!answer.ok) throw new Error(`listening but not ready: ${answer.status}`);
      seconds.push((performance.now() - since) / 1000);
    }
    const worst = Math.max(...seconds);
    return figureRow({
      name: 'restart',
      target: `≤ ${READY_SECONDS_MAX} s at ${FILES.toLocaleString('en')} files`,
      ours: `${worst.toFixed(2)} s at worst of ${runs}`,
      met: scale === 1 ? worst <= READY_SECONDS_MAX : null,
    });
  } finally {
    for (const path of [home, source]) await rm(path, { recursive: true, force: true });
  }
}
