import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cost, measure, measureUntil } from './measure.ts';
import type { Comparison } from './report.ts';
import type { Rsync } from './rsync.ts';
import type { Pair } from './sync_devices.ts';
import type { Syncthing } from './syncthing.ts';
import type { Unison } from './unison.ts';
import { BIG_FILE, makeTree, writeWithByteAtHead } from './workloads.ts';

export type Peers = { readonly rsync: Rsync | null; readonly syncthing: Syncthing | null; readonly unison: Unison | null };
export type ChangeOptions = {
  readonly folder: string; // trees are made here, and renamed into the synced folders
  readonly runs: number;
  readonly scale: number;
  readonly seed: string;
};
type Places = { readonly from: string; readonly to: string };

const NOBODY = { clients: [], server: null };
const PAUSE_MS = 2000; // what a change left to do is done by then

const placesOf = ({ first, second }: Pair): Places => ({ from: first.folder, to: second.folder });

/** A tree of small files appears on one device. */
export async function measureSmall(pair: Pair, { rsync, syncthing }: Peers, options: ChangeOptions): Promise<Comparison> {
  const ours: Cost[] = [];
  const viaSyncthing: Cost[] = [];
  const viaRsync: Cost[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const made = (whose: string) => {
      const source = join(options.folder, `small-${run}-${whose}`);
      return { source, paths: makeTree(source, 'small', `${options.seed} sync ${run}`, options.scale) };
    };
    await inTurn(run, [
      async () => ours.push(await arrival(made('ours'), placesOf(pair), `small-${run}`, pair.watched)),
      async () => syncthing && viaSyncthing.push(await arrival(made('syncthing'), syncthing, `small-${run}`, NOBODY)),
      async () => rsync && viaRsync.push(await upAndDown(rsync, made('rsync').source, `small-${run}`)),
    ]);
  }
  execFileSync('diff', ['-r', '-x', '.driftless', pair.first.folder, pair.second.folder]); // a fast wrong answer is no figure
  return {
    name: 'sync-small',
    secondsMax: null,
    wireBytesMax: null,
    ours,
    peers: [
      { name: 'Syncthing', ratioMax: 0.25, costs: viaSyncthing },
      { name: 'rsync up and down', ratioMax: 1.5, costs: viaRsync },
    ],
  };
}

/** The folder that arrived last gets another name. */
export async function measureRename(pair: Pair, options: ChangeOptions): Promise<Comparison> {
  const { from, to } = placesOf(pair);
  const source = join(options.folder, 'rename-ours');
  const paths = makeTree(source, 'small', `${options.seed} rename`, options.scale);
  await arrival({ source, paths }, { from, to }, 'renamed-0', pair.watched);
  await sleep(PAUSE_MS);
  const costs: Cost[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const [before, next] = [`renamed-${run}`, `renamed-${run + 1}`];
    const isThere = allIn(join(to, next), paths);
    costs.push(
      await measureUntil(
        () => renameSync(join(from, before), join(from, next)),
        () => isThere() && !existsSync(join(to, before)),
        pair.watched,
      ),
    );
    await sleep(PAUSE_MS);
  }
  return { name: 'sync-rename', secondsMax: 1, wireBytesMax: 16 * 1024, ours: costs, peers: [] };
}

/** One long file appears on one device. */
export async function measureBig(pair: Pair, { syncthing }: Peers, options: ChangeOptions): Promise<Comparison> {
  const ours: Cost[] = [];
  const viaSyncthing: Cost[] = [];
  const overlaps: boolean[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const made = (whose: string) => {
      const source = join(options.folder, `big-${run}-${whose}`);
      return { source, paths: makeTree(source, 'big', `${options.seed} sync ${run}`, options.scale) };
    };
    await inTurn(run, [
      async () => {
        const file = made('ours');
        await sleep(PAUSE_MS);
        const traffic = watchTraffic(pair, statSync(join(file.source, BIG_FILE)).size);
        ours.push(await arrival(file, placesOf(pair), `big-${run}`, pair.watched));
        overlaps.push(traffic());
      },
      async () => syncthing && viaSyncthing.push(await arrival(made('syncthing'), syncthing, `big-${run}`, NOBODY)),
    ]);
  }
  execFileSync('cmp', [join(pair.first.folder, 'big-0', BIG_FILE), join(pair.second.folder, 'big-0', BIG_FILE)]);
  return {
    name: 'sync-big',
    secondsMax: null,
    wireBytesMax: null,
    ours,
    peers: [{ name: 'Syncthing', ratioMax: 0.6, costs: viaSyncthing }],
    note: `received while it is still being sent: ${overlaps.every(Boolean) ? 'yes' : 'no'}`,
  };
}

/** One byte more at the head of a long file that both devices have. */
export async function measureInsert(pair: Pair, { unison }: Peers, options: ChangeOptions): Promise<Comparison> {
  const source = join(options.folder, 'insert-ours');
  const paths = makeTree(source, 'big', `${options.seed} insert`, options.scale);
  if (unison !== null) {
    makeTree(unison.from, 'big', `${options.seed} insert`, options.scale);
    await measure(unison.sync, null);
  }
  const { from, to } = placesOf(pair);
  await arrival({ source, paths }, { from, to }, 'insert', pair.watched);
  const ours: Cost[] = [];
  const viaUnison: Cost[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    await inTurn(run, [
      async () => {
        const next = join(options.folder, `insert-${run}`);
        const [here, there] = [from, to].map((side) => join(side, 'insert', BIG_FILE)) as [string, string];
        await writeWithByteAtHead(here, next);
        await sleep(PAUSE_MS);
        const { size } = statSync(next);
        ours.push(
          await measureUntil(
            () => renameSync(next, here),
            () => statSync(there, { throwIfNoEntry: false })?.size === size,
            pair.watched,
          ),
        );
      },
      async () => {
        if (unison === null) return;
        const next = join(options.folder, `insert-unison-${run}`);
        await writeWithByteAtHead(join(unison.from, BIG_FILE), next);
        renameSync(next, join(unison.from, BIG_FILE));
        viaUnison.push(await measure(unison.sync, null));
      },
    ]);
  }
  execFileSync(
    'cmp',
    [from, to].map((side) => join(side, 'insert', BIG_FILE)),
  );
  const peers = [{ name: 'Unison', ratioMax: 0.5, costs: viaUnison }];
  return { name: 'sync-insert', secondsMax: null, wireBytesMax: 2 * 4096, ours, peers, note: 'bytes of both ways together' };
}

/** Who goes first changes with each run. */
async function inTurn(run: number, steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const step of run % 2 === 0 ? steps : steps.toReversed()) await step();
}

/** From the moment a tree gets its name on one side until all of it is on the other one. */
function arrival(
  { source, paths }: { readonly source: string; readonly paths: readonly string[] },
  { from, to }: Places,
  name: string,
  watched: Parameters<typeof measureUntil>[2],
): Promise<Cost> {
  return measureUntil(() => renameSync(source, join(from, name)), allIn(join(to, name), paths), watched);
}

/** Asks for the first one that was missing the last time. */
function allIn(folder: string, paths: readonly string[]): () => boolean {
  let next = 0;
  return () => {
    while (next < paths.length && existsSync(join(folder, paths[next] as string))) next += 1;
    return next === paths.length;
  };
}

async function upAndDown(rsync: Rsync, source: string, name: string): Promise<Cost> {
  const down = `${source}-down`;
  mkdirSync(down);
  const first = await measure(rsync.copy(`${source}/`, rsync.module(`${name}/`)), null);
  const second = await measure(rsync.copy(rsync.module(`${name}/`), `${down}/`), null);
  return { ...first, seconds: first.seconds + second.seconds, wireBytes: first.wireBytes + second.wireBytes };
}

const TRAFFIC_MS = 10;

/**
 * By what the processes read and wrote, files and sockets: the second one does not read what it was sent before, and the first one writes next to nothing but to the server.
 * @returns ends it, and says whether the second device had received more than a 64th of the file when the first one had not written 98 % of it
 */
function watchTraffic({ first, second }: Pair, bytes: number): () => boolean {
  const sent = (): number => movedBytes(first.pid, 'wchar');
  const received = (): number => movedBytes(second.pid, 'rchar');
  const before = { sent: sent(), received: received() };
  let overlapped = false;
  const timer = setInterval(() => {
    overlapped ||= received() - before.received > bytes / 64 && sent() - before.sent < bytes * 0.98;
  }, TRAFFIC_MS);
  return () => {
    clearInterval(timer);
    return overlapped;
  };
}

/** What a process read or wrote so far, files and sockets. */
function movedBytes(pid: number, which: 'rchar' | 'wchar'): number {
  return Number(new RegExp(`^${which}: (\\d+)$`, 'm').exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}
