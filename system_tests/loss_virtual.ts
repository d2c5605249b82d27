/**
 * Logins through bad links, as a table like that of loss_table.ts, at a time that is computed (virtual_logins.ts): so many of them that 99.99 % can be shown.
 * Computing takes no time there, so it tells nothing of how fast this machine is.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { unansweredChance } from '../Client/testing/unanswered.ts';
import { quickFolder } from '../Storage/testing/quick_folder.ts';
import { FAULTS, LOSSES, ONE_WAY_MS, percentile, STRETCHING_MS, TARGETS } from './loss_cells.ts';
import { virtualLogins } from './virtual_logins.ts';

const USAGE = 'npm run test:loss-virtual -- [--logins 1000] [--target 32000] [--seed 1]';
const ROUND_TRIPS = 4;
const RULE_OF_THREE = 3; // where none of n fails, fewer than 3 in n do, with 95 % confidence

const number = { type: 'string' } as const;
const { values } = parseArgs({ options: { logins: number, target: number, seed: number } });
const logins = Number(values.logins ?? 1000); // for each loss, over all kinds of faults
const target = Number(values.target ?? 32_000); // for the loss of which 99.99 % must succeed
const seed = Number(values.seed ?? 1);
if (!(logins > 0 && target > 0)) {
  console.error(USAGE);
  process.exit(2);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

console.log(`${2 * ONE_WAY_MS} ms there and back, stretching ${STRETCHING_MS} ms, seed ${seed}\n`);
console.log('| lost each way, and | succeeded | p50 | p99 | slowest |\n|---|---|---|---|---|');
let missed = 0;
for (const loss of LOSSES) {
  const all: (number | null)[] = [];
  for (const { name, duplicate, reorder } of FAULTS) {
    const folder = await mkdtemp(join(quickFolder(), 'driftless-virtual-'));
    const base = await startDaemon(folder);
    const faults = { loss, duplicate, reorder, delayMs: ONE_WAY_MS };
    const count = Math.ceil((loss === 0.1 ? target : logins) / FAULTS.length);
    const times = await virtualLogins({ base, faults, logins: count, stretchingMs: STRETCHING_MS, seed: seed + all.length });
    await base[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
    all.push(...times);
    const done = times.filter((ms) => ms !== null);
    const [p50, p99, slowest] = [percentile(done, 0.5), percentile(done, 0.99), Math.max(...done)];
    console.log(`| ${loss * 100} %, ${name} | ${done.length} of ${count} | ${seconds(p50)} | ${seconds(p99)} | ${seconds(slowest)} |`);
  }
  const done = all.filter((ms) => ms !== null);
  const p99Ms = percentile(done, 0.99);
  const shown = done.length === all.length ? 1 - RULE_OF_THREE / all.length : 0;
  const wanted = TARGETS[String(loss)];
  const isMet = wanted === undefined ? null : shown >= wanted.successMin && p99Ms <= wanted.withinMs;
  if (isMet === false) missed += 1;
  const chance = ROUND_TRIPS * unansweredChance({ loss, roundTripMs: 2 * ONE_WAY_MS, jitter: 1 });
  const verdict = isMet === null ? '' : isMet ? ' (met)' : ' (MISSED)';
  const proves = shown > 0 ? `, which shows ${(100 * shown).toFixed(3)} %` : '';
  console.log(
    `| **${loss * 100} %, all**${verdict} | ${done.length} of ${all.length}${proves}; computed: at most ${chance.toExponential(0)} fail | | ${seconds(p99Ms)} | |`,
  );
}
process.exitCode = missed === 0 ? 0 : 1;
