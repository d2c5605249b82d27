/**
 * Logins through links that lose, repeat and reorder datagrams, as a table. Whole logins (HELLO to ACKED) of fresh clients, the real ones, each with a
 * socket of its own, begun at a steady pace through all links at once. Stretching the password is measured on this machine and then waited for, because
 * two processors cannot stretch for all of them; some more logins, one after another, do stretch it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { lossyLink } from '../Authentication/testing/lossy_link.ts';
import { measureStretchingMs, openBareClient } from '../Client/testing/auth_client.ts';
import { FAULTS, LOSSES, ONE_WAY_MS, percentile, TARGETS } from './loss_cells.ts';

const USAGE = 'npm run test:loss -- [--logins 1000] [--target 10000] [--per-second 120] [--seed 1]';
const USERS = 64;
const STRETCHED = 25;
const PASSWORD = 'correct horse battery';

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

function row(name: string, times: readonly (number | null)[]): string {
  const done = times.filter((ms) => ms !== null);
  const seconds = (share: number): string => (percentile(done, share) / 1000).toFixed(2);
  return `| ${name} | ${done.length} of ${times.length} | ${seconds(0.5)} s | ${seconds(0.99)} s | ${(Math.max(...done) / 1000).toFixed(1)} s |`;
}

async function forkDaemon(stretching: 'free' | 'stretching'): Promise<[ChildProcess, string]> {
  const child = fork(new URL('../bench/login_daemon.ts', import.meta.url), [join(folder, stretching), stretching]);
  const [{ address }] = (await once(child, 'message')) as [{ address: string }];
  return [child, address];
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.send('end');
  await ended;
}

const folder = await mkdtemp(join(tmpdir(), 'driftless-loss-'));
const stretchingMs = await measureStretchingMs();
const [daemon, address] = await forkDaemon('free');
const client = openBareClient({ stretch: () => sleep(stretchingMs) });
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
await end(daemon);

const stretched: number[] = [];
{
  const [stretching, target] = await forkDaemon('stretching');
  await using stretcher = openBareClient();
  await using link = await lossyLink({ target, delayMs: ONE_WAY_MS });
  const exchange = await stretcher.exchange(link.address);
  await stretcher.register(exchange, { username: 'alice', password: PASSWORD });
  exchange.close();
  for (let n = 0; n < STRETCHED; n += 1) {
    const own = await stretcher.exchange(link.address);
    const since = performance.now();
    await stretcher.login(own, { username: 'alice', password: PASSWORD });
    stretched.push(performance.now() - since);
    own.close();
  }
  await end(stretching);
}
console.log(
  `\n${STRETCHED} logins one after another, nothing lost, that stretch the password: p50 ${(percentile(stretched, 0.5) / 1000).toFixed(2)} s, slowest ${(Math.max(...stretched) / 1000).toFixed(2)} s`,
);
await rm(folder, { recursive: true, force: true });
process.exitCode = missed === 0 ? 0 : 1;
