import { renameSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { highWaterBytes, measure, residentBytes } from './measure.ts';
import { startOurs } from './ours.ts';
import { bytesText, figureRow, type Row } from './report.ts';
import { startDevice } from './sync_devices.ts';
import { makeTree, type Workload } from './workloads.ts';

const MiB = 1024 * 1024;
const REST_MS = 15_000;

export type MemoryOptions = { readonly folder: string; readonly scale: number; readonly seed: string };

/** Memory of a client that has 10,000 files in sync and nothing to do. */
export function measureRest(options: MemoryOptions): Promise<Row> {
  return measureMemory(options, { name: 'sync-rest', workload: 'small', restBytesMax: 120 * MiB, mostBytesMax: null });
}

/** Memory of a client that starts with 1,000,000 files in its index, at the most. */
export function measureMillion(options: MemoryOptions): Promise<Row> {
  return measureMemory(options, { name: 'sync-memory', workload: 'million', restBytesMax: null, mostBytesMax: 256 * MiB });
}

type MemoryCase = {
  readonly name: string;
  readonly workload: Workload;
  readonly restBytesMax: number | null;
  readonly mostBytesMax: number | null;
};

async function measureMemory({ folder, scale, seed }: MemoryOptions, wanted: MemoryCase): Promise<Row> {
  const home = join(folder, wanted.name);
  await mkdir(home);
  await using ours = await startOurs(home);
  const command = await ours.newUser();
  const source = join(home, 'source');
  const files = makeTree(source, wanted.workload, seed, scale).length;
  const synced = join(home, 'synced');
  await mkdir(synced);
  renameSync(source, join(synced, 'files'));
  const first = await measure(command('sync', synced, '/work', '--once'), null);
  await using device = await startDevice(command, synced);
  const most = highWaterBytes(device.pid) ?? 0;
  await sleep(REST_MS);
  const rest = residentBytes(device.pid) ?? 0;
  const targets = [
    ...(wanted.mostBytesMax === null ? [] : [`≤ ${bytesText(wanted.mostBytesMax)} with ${files.toLocaleString('en')} files`]),
    ...(wanted.restBytesMax === null ? [] : [`≤ ${bytesText(wanted.restBytesMax)} at rest with ${files.toLocaleString('en')} files`]),
  ];
  return figureRow({
    name: wanted.name,
    target: targets.join(', '),
    ours: `at most ${bytesText(most)}, at rest ${bytesText(rest)}; first sync ${bytesText(first.clientRssBytes)} in ${first.seconds.toFixed(0)} s`,
    met: scale === 1 ? most <= (wanted.mostBytesMax ?? most) && rest <= (wanted.restBytesMax ?? rest) : null,
  });
}
