import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, type Cost, measure } from './measure.ts';
import { type Ours, startOurs } from './ours.ts';
import { type Rsync, startRsync } from './rsync.ts';
import { BIG_FILE, insertByteAtHead, makeTree, WORKLOADS, type Workload } from './workloads.ts';

/** One case, both programs on the same files in turn: `ours[i]` and `peer[i]` ran one right after the other. */
export type Comparison = {
  readonly name: string;
  readonly ratioMax: number;
  readonly wireBytesMax: number | null;
  readonly ours: readonly Cost[];
  readonly peer: readonly Cost[]; // empty where rsync is not installed
};

export type TransferCase = Workload | 'insert' | 'same';
export type TransferOptions = {
  readonly cases: ReadonlySet<TransferCase>;
  readonly runs: number;
  readonly scale: number; // 1 for the real figures
  readonly folder: string; // empty; everything is made below it
  readonly seed: string;
};

const NEEDED: Record<Workload, readonly TransferCase[]> = { small: ['small'], many: ['many', 'same'], big: ['big', 'insert'] };

export async function* measureTransfers(options: TransferOptions): AsyncGenerator<Comparison> {
  await using rsync = await startRsync(options.folder);
  for (const workload of Object.keys(WORKLOADS) as Workload[]) {
    const wanted = NEEDED[workload].filter((name) => options.cases.has(name));
    if (wanted.length > 0) yield* measureWorkload(workload, new Set(wanted), options, rsync);
  }
}

async function* measureWorkload(
  workload: Workload,
  wanted: ReadonlySet<TransferCase>,
  { folder, seed, scale, runs }: TransferOptions,
  rsync: Rsync | null,
): AsyncGenerator<Comparison> {
  const source = join(folder, `source-${workload}`);
  makeTree(source, workload, seed, scale);
  // Each run has folders of its own, and none is removed before the bench ends: for half a minute after many files were removed, a
  // file system may look for a place for each new one many times longer.
  const inRun = (run: number, what: string): string => join(folder, `${workload}-${what}-${run}`);
  const module = (run: number): string => `${workload}-served-${run}/`;
  const upload = (ours: Ours, command: UserCommand, run: number, file = ''): Pair => ({
    serverPid: ours.serverPid,
    ours: command('put', join(source, file), file === '' ? '/data' : `/data/${file}`),
    peer: rsync?.copy(`${source}/`, rsync.module(module(run))),
  });
  const put = noCosts();
  const last = (wanted.has(workload) ? runs : 1) - 1;
  for (let run = 0; run < last; run += 1) {
    await using system = await startOurs(await madeFolder(inRun(run, 'system'))); // an empty one each time, or equal chunks would not be sent at all
    await warmUp(system, folder, seed);
    await both(run, put, upload(system, await system.newUser(), run));
  }
  await using system = await startOurs(await madeFolder(inRun(last, 'system')));
  await warmUp(system, folder, seed);
  const command = await system.newUser();
  await both(last, put, upload(system, command, last));
  if (wanted.has(workload)) {
    yield { name: `${workload} put`, ratioMax: 1, wireBytesMax: null, ...put };
    const get = noCosts();
    for (let run = 0; run < runs; run += 1) {
      await both(run, get, {
        serverPid: system.serverPid,
        ours: command('get', '/data', inRun(run, 'ours')),
        peer: rsync?.copy(rsync.module(module(last)), `${inRun(run, 'peer')}/`),
      });
    }
    execFileSync('diff', ['-r', source, inRun(0, 'ours')]); // a fast wrong answer is no figure
    yield { name: `${workload} get`, ratioMax: 1, wireBytesMax: null, ...get };
  }
  if (wanted.has('same'))
    yield { name: 'same put', ratioMax: 1, wireBytesMax: null, ...(await repeat(runs, upload(system, command, last))) };
  if (wanted.has('insert')) {
    const change = (): Promise<void> => insertByteAtHead(join(source, BIG_FILE));
    yield {
      name: 'insert put',
      ratioMax: 0.5,
      wireBytesMax: 4096,
      ...(await repeat(runs, upload(system, command, last, BIG_FILE), change)),
    };
  }
}

async function madeFolder(path: string): Promise<string> {
  await mkdir(path);
  return path;
}

/** A server that has just started still compiles itself; one that people use has long done so. Other content, another user. */
async function warmUp(system: Ours, folder: string, seed: string): Promise<void> {
  const source = join(folder, `warm-up-${randomUUID()}`);
  makeTree(source, 'small', `${seed} warm-up`, 0.5);
  const command = await system.newUser();
  await measure(command('put', source, '/data'), null);
  await measure(command('get', '/data', `${source}-back`), null);
}

type UserCommand = Awaited<ReturnType<Ours['newUser']>>;
type Costs = { readonly ours: Cost[]; readonly peer: Cost[] };
type Pair = { readonly serverPid: number; readonly ours: Command; readonly peer: Command | undefined };

const noCosts = (): Costs => ({ ours: [], peer: [] });

async function repeat(runs: number, pair: Pair, before: () => Promise<void> = async () => undefined): Promise<Costs> {
  const costs = noCosts();
  for (let run = 0; run < runs; run += 1) {
    await before();
    await both(run, costs, pair);
  }
  return costs;
}

/** Runs both once; who goes first changes with each run, so that neither always finds the caches warm. */
async function both(run: number, costs: Costs, { serverPid, ours, peer }: Pair): Promise<void> {
  const runOurs = async (): Promise<unknown> => costs.ours.push(await measure(ours, serverPid));
  const runPeer = async (): Promise<unknown> => peer && costs.peer.push(await measure(peer, null));
  for (const step of run % 2 === 0 ? [runOurs, runPeer] : [runPeer, runOurs]) await step();
}
