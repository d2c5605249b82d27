import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FOLDER_SHAPES } from './folder_shapes.ts';
import { generate, sharingSeed } from './generate.ts';
import { type History, historySize } from './history.ts';
import { differsInVariants } from './metamorphic.ts';
import { minimise, type Outcome, runHistory } from './run_history.ts';
import { openSimFolder, type SimFolder } from './sim_server.ts';
import type { Plants } from './world.ts';

/** Of all seeds, how many must reach what is so called. */
export const ENGINE_SHARES: ReadonlyMap<string, number> = new Map([
  ...[
    'edit/edit',
    'delete/edit',
    'move/move',
    'edit/move',
    'folder delete/change inside',
    'create/create',
    'case-only rename',
    'file/folder',
  ].map((label) => [label, 0.01] as const),
  ...['create', 'file.write', 'file.sync', 'rename', 'link', 'syncFolder', 'unlink'].map((call) => [`crash at ${call}`, 0.005] as const),
  ...['rename', 'link', 'syncFolder'].map((call) => [`user at ${call}`, 0.005] as const),
  ...FOLDER_SHAPES.map((shape) => [shape, 0.01] as const),
  ...['drop', 'late', 'duplicate', 'coalesce', 'overflow', 'ignored path'].map((event) => [`watcher: ${event}`, 0.005] as const),
  ...['no index', 'unmounted', 'clock set back', 'a listing leaves something out', 'partition before a request'].map(
    (trouble) => [trouble, 0.005] as const,
  ),
  ['drop_reply before a request', 0.005],
]);

/** The same of the seeds with two users. */
export const SHARING_SHARES: ReadonlyMap<string, number> = new Map(
  ['invite', 'accept', 'role', 'uninvite', 'leave', 'move', 'remove', 'undelete', 'rewind', 'restore'].map((kind) => [
    `share: ${kind}`,
    0.02,
  ]),
);

const TWICE_EVERY = 99;
const VARIANTS_EVERY = 25; // seeds are several runs each
const MINIMISE_MS = 30_000;
const WORLDS_PER_SERVER = 25;

/** Runs seeds on servers that are used for several. @returns what became of a seed, its failure with a history that is as short as it gets */
export function engineSeeds(
  plants: Plants = {},
  twiceEvery = TWICE_EVERY,
): (seed: number) => Promise<{ labels: Iterable<string>; failure: string | null }> {
  let folder: Promise<SimFolder> | null = null;
  return async (seed) => {
    folder ??= openUntilExit();
    const history = generate(seed);
    if (seed % VARIANTS_EVERY === 0) return { labels: [], failure: await differsInVariants(history, await folder, plants) };
    const outcome = await runHistory(history, await folder, plants);
    if (outcome.violation !== null) return { labels: outcome.labels, failure: await describe(history, outcome, plants) };
    const failure = seed % twiceEvery === 0 ? await differsTheSecondTime(history, plants) : null;
    return { labels: outcome.labels, failure };
  };
}

/** Only the seeds in which folders are shared. */
export function sharingSeeds(): ReturnType<typeof engineSeeds> {
  const run = engineSeeds();
  return (nth) => run(sharingSeed(nth));
}

async function openUntilExit(): Promise<SimFolder> {
  const folder = await openSimFolder(WORLDS_PER_SERVER);
  process.once('exit', () => rmSync(folder.path, { recursive: true, force: true }));
  return folder;
}

/** @returns text */
export async function replayHistory(file: string): Promise<{ text: string; held: boolean }> {
  const folder = await openSimFolder(1);
  try {
    const history = JSON.parse(readFileSync(file, 'utf8')) as History;
    const outcome = await runHistory(history, folder);
    return { text: story(history, outcome), held: outcome.violation === null };
  } finally {
    await folder.close();
  }
}

/** The same history must always run the same way, or no failure could be looked into. */
async function differsTheSecondTime(history: History, plants: Plants): Promise<string | null> {
  const folder = await openSimFolder(1);
  try {
    const [first, second] = [await runHistory(history, folder, plants), await runHistory(history, folder, plants)];
    if (traceHash(first) === traceHash(second)) return null;
    const at = first.trace.findIndex((line, i) => line !== second.trace[i]);
    return `seed ${history.seed} ran differently the second time, from line ${at}:\n  ${first.trace[at]}\n  ${second.trace[at]}`;
  } finally {
    await folder.close();
  }
}

function traceHash({ trace }: Outcome): string {
  return createHash('sha256').update(trace.join('\n')).digest('hex');
}

async function describe(history: History, { violation }: Outcome, plants: Plants): Promise<string> {
  if (violation === null) return '';
  const folder = await openSimFolder(1);
  try {
    const small = await minimise(history, violation.invariant, folder, plants, performance.now() + MINIMISE_MS);
    const file = join(tmpdir(), `driftless-history-${history.seed}.json`);
    writeFileSync(file, `${JSON.stringify(small, null, 1)}\n`);
    const outcome = await runHistory(small, folder, plants);
    return [
      `engine: seed ${history.seed}: ${violation.message}`,
      `${historySize(history)} steps and faults became ${historySize(small)}, kept in ${file}`,
      story(small, outcome),
    ].join('\n');
  } finally {
    await folder.close();
  }
}

function story({ devices, tickMs }: History, { trace, violation }: Outcome): string {
  return [
    `devices: ${JSON.stringify(devices)}, ${tickMs} ms for each call`,
    ...trace,
    violation === null ? 'all held' : violation.message,
  ].join('\n');
}
