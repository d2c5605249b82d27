import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
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
  const served = join(folder, 'served', workload);
  const fetched = { ours: join(folder, 'fetched-ours'), peer: join(folder, 'fetched-peer') };
  const upload = (ours: Ours): Pair => ({
    serverPid: ours.serverPid,
    ours: ours.command('put', source, '/data'),
    peer: rsync?.copy(`${source}/`, rsync.module(`${workload}/`)),
  });

  // each run of `put` begins with an empty server, or equal chunks would not be sent at all
  const home = join(folder, `system-${workload}`);
  const put = noCosts();
  let system: Ours | null = null;
  try {
    const measured = wanted.has(workload) ? runs : 1;
    for (let run = 0; run < measured; run += 1) {
      await system?.[Symbol.asyncDispose]();
      await empty(home, served);
      system = await startOurs(home);
      await both(run, put, upload(system));
    }
    if (system === null) return;
    if (wanted.has(workload)) {
      yield { name: `${workload} put`, ratioMax: 1, wireBytesMax: null, ...put };
      const get = noCosts();
      for (let run = 0; run < runs; run += 1) {
        await empty(fetched.ours, fetched.peer);
        await both(run, get, {
          serverPid: system.serverPid,
          ours: system.command('get', '/data', fetched.ours),
          peer: rsync?.copy(rsync.module(`${workload}/`), `${fetched.peer}/`),
        });
      }
      execFileSync('diff', ['-r', source, fetched.ours]); // a fast wrong answer is no figure
      await empty(fetched.ours, fetched.peer);
      yield { name: `${workload} get`, ratioMax: 1, wireBytesMax: null, ...get };
    }
    if (wanted.has('same')) yield { name: 'same put', ratioMax: 1, wireBytesMax: null, ...(await repeat(runs, upload(system))) };
    if (wanted.has('insert')) {
      const change = (): Promise<void> => insertByteAtHead(join(source, BIG_FILE));
      yield { name: 'insert put', ratioMax: 0.5, wireBytesMax: 4096, ...(await repeat(runs, upload(system), change)) };
    }
  } finally {
    await system?.[Symbol.asyncDispose]();
    for (const path of [source, served, home, fetched.ours, fetched.peer]) await rm(path, { recursive: true, force: true });
  }
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

async function empty(...folders: string[]): Promise<void> {
  for (const folder of folders) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
  }
}
