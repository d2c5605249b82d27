/**
 * A million HELLOs from addresses that are not their senders', a million more handed to the daemon with addresses one cannot have here, and logins and
 * the file server beside them; then a flood of addresses that do have their cookie. Prints what was measured against what must hold.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openFlooded } from './flooding.ts';

const USAGE = 'npm run test:flood -- [--hellos 1000000] [--per-second 12000]';
const WARM_UP = 100_000;
const LOGINS = 100;
const BASELINE_SECONDS = 10;
const ATTACKERS = 20;
const RSS_GROWTH_MAX = 0.1;
const HTTP_SLOWER_MAX = 2;
const MiB = 1024 * 1024;

const { values } = parseArgs({
  options: { hellos: { type: 'string', default: '1000000' }, 'per-second': { type: 'string', default: '12000' } },
});
const [hellos, perSecond] = [Number(values.hellos), Number(values['per-second'])];
if (!(Number.isInteger(hellos) && hellos > 0 && perSecond > 0)) {
  console.error(USAGE);
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), 'driftless-flood-'));
const flooded = await openFlooded(folder);
let missed = 0;
function say(what: string, measured: string, isMet: boolean): void {
  if (!isMet) missed += 1;
  console.log(`${isMet ? '✔' : '✖'} ${what}: ${measured}`);
}
const floodSeconds = hellos / perSecond;
try {
  await flooded.logins(20);
  await flooded.httpP99Ms(2);
  await flooded.flood({ count: WARM_UP, perSecond }, () => flooded.logins(20));
  const warm = await flooded.receiveForged(WARM_UP, 1);
  const begun = performance.now();
  const forged = await flooded.receiveForged(hellos, 2);
  const seconds = (performance.now() - begun) / 1000;
  say(
    `${hellos} HELLOs with forged addresses, ${(hellos / seconds).toFixed(0)} a second`,
    `${forged.admitted - warm.admitted} worked on`,
    forged.admitted === warm.admitted,
  );

  const baselineMs = await flooded.httpP99Ms(BASELINE_SECONDS);
  const quiet = await flooded.logins(20);
  await flooded.state();
  const before = await flooded.state();
  const {
    sent,
    answered,
    seconds: took,
    result,
  } = await flooded.flood({ count: hellos, perSecond }, () =>
    Promise.all([flooded.httpP99Ms(floodSeconds * 0.9), flooded.logins(LOGINS, (floodSeconds * 800) / LOGINS)]),
  );
  const [duringMs, logins] = result;
  const after = await flooded.state();
  const inLogins = LOGINS * 3; // HELLO, FINISH, ACK
  const worked = after.admitted - before.admitted;
  say(
    `${sent} HELLOs over sockets, ${(sent / took).toFixed(0)} a second, ${answered} answered`,
    `${worked} worked on, of ${LOGINS} logins`,
    worked <= inLogins,
  );
  say(
    'logins meanwhile',
    `${logins.succeeded} of ${logins.tried}, p50 ${logins.p50Ms.toFixed(0)} ms, p99 ${logins.p99Ms.toFixed(0)} ms (without: p50 ${quiet.p50Ms.toFixed(0)} ms)`,
    logins.succeeded >= 0.99 * logins.tried,
  );
  say(
    'file server, slowest hundredth',
    `${duringMs.toFixed(1)} ms, ${baselineMs.toFixed(1)} ms before`,
    duringMs < HTTP_SLOWER_MAX * baselineMs,
  );
  say(
    'memory of the daemon',
    `${(warm.rssBytes / MiB).toFixed(0)} MiB after ${2 * WARM_UP}, ${(after.rssBytes / MiB).toFixed(0)} MiB at the end`,
    after.rssBytes <= (1 + RSS_GROWTH_MAX) * warm.rssBytes,
  );
  console.log(`  the daemon's loop was late by ${after.lateMs.toFixed(1)} ms in the worst hundredth`);

  const cookies = await flooded.floodWithCookies(ATTACKERS, () => flooded.logins(LOGINS));
  const held = cookies.result;
  say(
    `logins beside ${ATTACKERS} addresses that log in as fast as they can (${cookies.challenged} answered)`,
    `${held.succeeded} of ${held.tried}, p50 ${held.p50Ms.toFixed(0)} ms, p99 ${held.p99Ms.toFixed(0)} ms`,
    held.succeeded >= 0.99 * held.tried,
  );
} finally {
  await flooded.close();
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = missed === 0 ? 0 : 1;
