import { lstatSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cost, measure } from './measure.ts';
import { startOurs, type UserCommand } from './ours.ts';
import type { Comparison } from './report.ts';
import type { Rsync } from './rsync.ts';
import { makeTree } from './workloads.ts';

export type PassOptions = { readonly folder: string; readonly runs: number; readonly scale: number; readonly seed: string };

/** A pass over many files that nobody changed, the whole process; rsync with the same files. */
export async function measurePass(options: PassOptions, rsync: Rsync | null): Promise<Comparison> {
  const home = join(options.folder, 'pass');
  await mkdir(home);
  await using ours = await startOurs(home);
  const [one, other] = (await ours.newDevices(2)) as [UserCommand, UserCommand];
  const [here, there] = [join(home, 'first'), join(home, 'second')];
  for (const folder of [here, there]) await mkdir(folder);
  const source = join(home, 'source');
  const paths = makeTree(source, 'many', options.seed, options.scale);
  if (rsync !== null) await measure(rsync.copy(`${source}/`, rsync.module('pass/')), null);
  const synced = join(here, 'many');
  renameSync(source, synced);
  await measure(one('sync', here, '/work', '--once'), null);
  await measure(other('sync', there, '/work', '--once'), null);
  const pass = other('sync', there, '/work', '--once');
  await measure(pass, null); // what was too recent to be believed is looked at again
  const accessed = (): number[] => paths.map((path) => lstatSync(join(there, 'many', path)).atimeMs);
  const before = accessed();
  const costs: { ours: Cost[]; rsync: Cost[] } = { ours: [], rsync: [] };
  for (let run = 0; run < options.runs; run += 1) {
    const runOurs = async (): Promise<unknown> => costs.ours.push(await measure(pass, ours.serverPid));
    const runRsync = async (): Promise<unknown> =>
      rsync && costs.rsync.push(await measure(rsync.copy(`${synced}/`, rsync.module('pass/')), null));
    for (const step of run % 2 === 0 ? [runOurs, runRsync] : [runRsync, runOurs]) await step();
  }
  const read = accessed().filter((at, i) => at !== before[i]).length;
  return {
    name: 'sync-pass',
    secondsMax: null,
    wireBytesMax: null,
    ours: costs.ours,
    peers: [{ name: 'rsync', ratioMax: 1, costs: costs.rsync }],
    note: keepsAccessTimes(home) ? `content read of ${read} files` : 'whether content is read cannot be seen here',
  };
}

/**
 * Whether reading a file shows in its time of access. A file that sync has placed was accessed, as far as its numbers tell, when it was last
 * changed, and then the first read sets another time also where that is recorded seldom.
 */
function keepsAccessTimes(folder: string): boolean {
  const path = join(folder, 'access');
  writeFileSync(path, 'read me');
  utimesSync(path, 1_000_000_000, 1_000_000_000);
  readFileSync(path);
  return lstatSync(path).atimeMs !== 1_000_000_000_000;
}
