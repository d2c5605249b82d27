import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Command, type Cost, measure, residentBytes } from './measure.ts';
import { startOurs, type UserCommand } from './ours.ts';
import type { Comparison } from './report.ts';
import { BIG_FILE, makeTree } from './workloads.ts';

const SPEED_MIN = 0.7; // of a direct download
const MiB = 1024 * 1024;

export type RelayOptions = { readonly folder: string; readonly runs: number; readonly scale: number; readonly seed: string };

/** A file of 1 GiB fetched from an online device through the server, beside the same file downloaded from the server. */
export async function measureRelay({ folder, runs, scale, seed }: RelayOptions): Promise<Comparison> {
  const home = join(folder, 'system-relay');
  const source = join(folder, 'source-relay');
  await mkdir(home);
  makeTree(source, 'big', seed, scale);
  const fetched: Cost[] = [];
  const downloaded: Cost[] = [];
  let publishing: ChildProcess | null = null;
  try {
    await using ours = await startOurs(home);
    const [owner, other] = (await ours.newDevices(2)) as [UserCommand, UserCommand];
    await measure(owner('put', join(source, BIG_FILE), '/file'), null);
    publishing = await startPublishing(owner('publish', source, '--name', 'relay'));
    const atRest = residentBytes(ours.serverPid) ?? 0;
    for (let run = 0; run < runs; run += 1) {
      const [relayed, direct] = [join(folder, `relayed-${run}`), join(folder, `direct-${run}`)];
      const name = `bench-1/relay/${BIG_FILE}`; // the first user there is
      const sides = [
        async () => void fetched.push(await measure(other('fetch', name, relayed), ours.serverPid)),
        async () => void downloaded.push(await measure(other('get', '/file', direct), ours.serverPid)),
      ];
      for (const side of run % 2 === 0 ? sides : sides.reverse()) await side();
      execFileSync('cmp', [relayed, direct]); // a fast wrong answer is no figure
      for (const path of [relayed, direct]) await rm(path);
    }
    const most = Math.max(...fetched.map(({ serverRssBytes }) => serverRssBytes ?? 0));
    return {
      name: 'relay',
      secondsMax: null,
      wireBytesMax: null,
      ours: fetched,
      peers: [{ name: 'get', ratioMax: Number((1 / SPEED_MIN).toFixed(2)), costs: downloaded }],
      note: `server ${(atRest / MiB).toFixed(0)} MiB before, ${(most / MiB).toFixed(0)} MiB at the most`,
    };
  } finally {
    publishing?.kill('SIGKILL');
    for (const path of [home, source]) await rm(path, { recursive: true, force: true });
  }
}

async function startPublishing({ program, args, env }: Command): Promise<ChildProcess> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close').then(() => null);
  const lines = createInterface({ input: child.stdout });
  const said = await Promise.race([once(lines, 'line'), ended]);
  if (said === null) throw new Error('publish ended');
  return child;
}
