/**
 * Logins through links that lose, repeat and reorder datagrams, as a table. Whole logins (HELLO to ACKED) of fresh clients, the real ones, each with a
 * socket of its own, begun at a steady pace through all links at once. Stretching the password is measured on this machine and then waited for, because
 * two processors cannot stretch for all of them.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import { measureStretchingMs, openBareClient } from '../Client/testing/auth_client.ts';

const USAGE = 'npm run test:loss -- [--logins 1000] [--target 10000] [--per-second 120] [--seed 1]';
const LOSSES = [0, 0.1, 0.2, 0.3, 0.5];
const FAULTS = [
  { name: 'nothing else', duplicate: 0, reorder: 0 },
  { name: '20 % repeated', duplicate: 0.2, reorder: 0 },
  { name: '30 % reordered', duplicate: 0, reorder: 0.3 },
  { name: 'both', duplicate: 0.2, reorder: 0.3 },
];
const ONE_WAY_MS = 40;
const USERS = 64;
const PASSWORD = 'correct horse battery';
const TARGETS: Record<string, { successMin: number; withinMs: number }> = {
  '0.1': { successMin: 0.9999, withinMs: 3000 }, // the slowest hundredth
  '0.3': { successMin: 0.99, withinMs: 30_000 },
};

const number = { type: 'string' } as const;
const { values } = parseArgs({ options: { logins: number, target: number, 'per-second': number, seed: number } });
const logins = Number(values.logins ?? 1000); // for each loss, over all kinds of faults
const target = Number(values.target ?? 10_000); // for the loss of which 99.99 % must succeed
const [perSecond, seed] = [Number(values['per-second'] ?? 120), Number(values.seed ?? 1)];
if (!(logins > 0 && target > 0 && perSecond > 0)) {
  console.error(USAGE);
  process.exit(2);
}

type Cell = { readonly loss: number; readonly faults: (typeof FAULTS)[number]; readonly times: (number | null)[] };

function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function row(name: string, times: readonly (number | null)[]): string {
  const done = times.filter((ms) => ms !== null);
  const seconds = (share: number): string => (percentile(done, share) / 1000).toFixed(2);
  return `| ${name} | ${done.length} of ${times.length} | ${seconds(0.5)} s | ${seconds(0.99)} s | ${(Math.max(...done) / 1000).toFixed(1)} s |`;
}

const folder = await mkdtemp(join(tmpdir(), 'driftless-loss-'));
const stretchingMs = await measureStretchingMs();
const daemon = fork(new URL('../bench/login_daemon.ts', import.meta.url), [join(folder, 'data')]);
const [{ address }] = (await once(daemon, 'message')) as [{ address: string }];
const client = openBareClient({ stretchingMs });
const direct = await client.exchange(address);
for (let n = 0; n < USERS; n += 1) await client.register(direct, { username: `user-${n}`, password: PASSWORD });
direct.close();

const cells: Cell[] = LOSSES.flatMap((loss) => FAULTS.map((faults) => ({ loss, faults, times: [] })));
const links = await Promise.all(
  cells.map(({ loss, faults }, n) => lossyLink({ target: address, loss, ...faults, delayMs: ONE_WAY_MS, seed: seed + n })),
);

async function login(cell: Cell, link: string, n: number): Promise<void> {
  const exchange = await client.exchange(link);
  const begun = performance.now();
  try {
    await client.login(exchange, { username: `user-${n % USERS}`, password: PASSWORD });
    cell.times.push(performance.now() - begun);
  } catch {
    cell.times.push(null);
  } finally {
    exchange.close();
  }
}

/** Which cell each login is of, so that all cells run for all of the time. */
const plan = cells.flatMap(({ loss }, cell) => {
  const count = Math.ceil((loss === 0.1 ? target : logins) / FAULTS.length);
  return Array.from({ length: count }, (_, n) => ({ cell, at: (n + Math.random()) / count }));
});
plan.sort((one, other) => one.at - other.at);
const begun = performance.now();
const running: Promise<void>[] = [];
for (const [n, { cell }] of plan.entries()) {
  const waitMs = (n / perSecond) * 1000 - (performance.now() - begun);
  if (waitMs > 1) await sleep(waitMs);
  const [one, link] = [cells[cell], links[cell]];
  if (one !== undefined && link !== undefined) running.push(login(one, link.address, n));
}
await Promise.all(running);

console.log(
  `${plan.length} logins, ${perSecond} begun a second, ${2 * ONE_WAY_MS} ms there and back, stretching ${stretchingMs.toFixed(0)} ms, seed ${seed}\n`,
);
console.log('| lost each way, and | succeeded | p50 | p99 | slowest |\n|---|---|---|---|---|');
let missed = 0;
for (const loss of LOSSES) {
  const ofLoss = cells.filter((cell) => cell.loss === loss);
  for (const { faults, times } of ofLoss) console.log(row(`${loss * 100} %, ${faults.name}`, times));
  const wanted = TARGETS[String(loss)];
  const times = ofLoss.flatMap((cell) => cell.times);
  if (wanted === undefined) continue;
  const done = times.filter((ms) => ms !== null);
  const p99Ms = percentile(done, 0.99);
  const isMet = done.length / times.length >= wanted.successMin && p99Ms <= wanted.withinMs;
  if (!isMet) missed += 1;
  console.log(
    `| **${loss * 100} %, all** (${isMet ? 'met' : 'MISSED'}) | ${done.length} of ${times.length} | | ${(p99Ms / 1000).toFixed(2)} s | |`,
  );
}
await client[Symbol.asyncDispose]();
for (const link of links) await link[Symbol.asyncDispose]();
const ended = once(daemon, 'exit');
daemon.send('end');
await ended;
await rm(folder, { recursive: true, force: true });
process.exitCode = missed === 0 ? 0 : 1;
