import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Comparison, type Row, rowOf } from './report.ts';
import { startRsync } from './rsync.ts';
import { measureBig, measureInsert, measureRename, measureSmall, type Peers } from './sync_changes.ts';
import { startPair } from './sync_devices.ts';
import { measureLatency } from './sync_latency.ts';
import { measureMillion, measureRest } from './sync_memory.ts';
import { measurePass } from './sync_pass.ts';
import { startSyncthing } from './syncthing.ts';
import { startUnison } from './unison.ts';

export const SYNC_CASES = [
  'sync-latency',
  'sync-small',
  'sync-rename',
  'sync-big',
  'sync-insert',
  'sync-pass',
  'sync-rest',
  'sync-memory',
] as const;
export type SyncCase = (typeof SYNC_CASES)[number];
/** Takes minutes and gigabytes. */
export const ONLY_WHEN_NAMED: SyncCase = 'sync-memory';

export type SyncOptions = {
  readonly cases: ReadonlySet<string>;
  readonly runs: number;
  readonly scale: number; // 1 for the real figures
  readonly folder: string;
  readonly seed: string;
};
type Measured = { readonly row: Row; readonly comparison: Comparison | null };

/** Each case with real processes, beside the programs that do the same. */
export async function* measureSync(options: SyncOptions): AsyncGenerator<Measured> {
  const wanted = (name: SyncCase): boolean => options.cases.has(name);
  if (!SYNC_CASES.some(wanted)) return;
  const folder = join(options.folder, 'sync');
  await mkdir(folder);
  const inside = { ...options, folder };
  await using rsync = await startRsync(folder);
  if ((['sync-latency', 'sync-small', 'sync-rename', 'sync-big', 'sync-insert'] as const).some(wanted)) {
    await using syncthing = await startSyncthing(join(folder, 'syncthing'));
    await using unison = wanted('sync-insert') ? await startUnison(join(folder, 'unison')) : null;
    yield* measureChanges(wanted, inside, { rsync, syncthing, unison });
  }
  if (wanted('sync-pass')) yield compared(await measurePass(inside, rsync));
  if (wanted('sync-rest')) yield { row: await measureRest(inside), comparison: null };
  if (wanted('sync-memory')) yield { row: await measureMillion(inside), comparison: null };
}

async function* measureChanges(wanted: (name: SyncCase) => boolean, options: SyncOptions, peers: Peers): AsyncGenerator<Measured> {
  await using pair = await startPair(join(options.folder, 'pair'));
  const places = { from: pair.first.folder, to: pair.second.folder };
  if (wanted('sync-latency')) yield { row: await measureLatency(places, peers.syncthing, options.scale), comparison: null };
  if (wanted('sync-small')) yield compared(await measureSmall(pair, peers, options));
  if (wanted('sync-rename')) yield compared(await measureRename(pair, options));
  if (wanted('sync-big')) yield compared(await measureBig(pair, peers, options));
  if (wanted('sync-insert')) yield compared(await measureInsert(pair, peers, options));
}

function compared(comparison: Comparison): Measured {
  return { row: rowOf(comparison), comparison };
}
