import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, type Cost, measure } from './measure.ts';
import { type Ours, startOurs, type UserCommand } from './ours.ts';
import type { Comparison } from './report.ts';
import { type Rsync, startRsync } from './rsync.ts';
import { BIG_FILE, insertByteAtHead, makeTree, type Workload } from './workloads.ts';

type TransferWorkload = Exclude<Workload, 'million'>;
export type TransferCase = TransferWorkload | 'insert' | 'same';
export type TransferOptions = {
  readonly cases: ReadonlySet<TransferCase>;
  readonly runs: number;
  readonly scale: number; // 1 for the real figures
  readonly folder: string; // empty; everything is made below it
  readonly seed: string;
};

const NEEDED: Record<TransferWorkload, readonly TransferCase[]> = {
  small: ['small'],
  many: ['many', 'same'],
  big: ['big', 'insert'],
};

export async function* measureTransfers(options: TransferOptions): AsyncGenerator<Comparison> {
  await using rsync = await startRsync(options.folder);
  for (const workload of Object.keys(NEEDED) as TransferWorkload[]) {
    const wanted = NEEDED[workload].filter((name) => options.cases.has(name));
    if (wanted.length > 0) yield* measureWorkload(workload, new Set(wanted), options, rsync);
  }
}

async function* measureWorkload(
  workload: TransferWorkload,
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
    yield withRsync(`${workload} put`, 1, put);
    const get = noCosts();
    for (let run = 0; run < runs; run += 1) {
      await both(run, get, {
        serverPid: system.serverPid,
        ours: command('get', '/data', inRun(run, 'ours')),
        peer: rsync?.copy(rsync.module(module(last)), `${inRun(run, 'peer')}/`),
      });
    }
    execFileSync('diff', ['-r', source, inRun(0, 'ours')]); // a fast wrong answer is no figure
    yield withRsync(`${workload} get`, 1, get);
  }
  if (wanted.has('same')) yield withRsync('same put', 1, await repeat(runs, upload(system, command, last)));
  if (wanted.has('insert')) {
    const change = (): Promise<void> => insertByteAtHead(join(source, BIG_FILE));
    const costs = await repeat(runs, upload(system, command, last, BIG_FILE), change);
    yield { ...withRsync('insert put', 0.5, costs), wireBytesMax: 4096 };
  }
}

function withRsync(name: string, ratioMax: number, { ours, peer }: Costs): Comparison {
  return { name, secondsMax: null, wireBytesMax: null, ours, peers: [{ name: 'rsync', ratioMax, costs: peer }] };
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
