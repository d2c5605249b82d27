import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { client as opaque, ready } from '@serenity-kit/opaque';
import { startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { openBareClient } from '../Client/testing/auth_client.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';

const NAMES = 16; // of each kind, all as long
const WARM_UP = 200;
/** A difference that chance does not make: the figure of Goodwill et al., "A testing methodology for side-channel resistance validation", 2011. */
export const T_MAX = 4.5;
const SLOW_SHARE = 0.1; // left out the second time: what the machine did meanwhile is among them

export type Timing = {
  readonly logins: number; // of each kind
  readonly knownMs: number; // mean
  readonly unknownMs: number;
  readonly t: number; // Welch's
  readonly tOfFast: number; // without the slowest tenth of all
};

function meanAndVariance(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, variance };
}

function welch(ones: readonly number[], others: readonly number[]): number {
  const [one, other] = [meanAndVariance(ones), meanAndVariance(others)];
  return (one.mean - other.mean) / Math.sqrt(one.variance / ones.length + other.variance / others.length);
}

/** In memory, if the system has such a folder: what a disk does would only hide a difference. */
async function quietFolder(): Promise<string> {
  const inMemory = await access('/dev/shm').then(
    () => '/dev/shm',
    () => tmpdir(),
  );
  return mkdtemp(join(inMemory, 'driftless-timing-'));
}

/** Times from a HELLO with a guess to its CHALLENGE over UDP on loopback, for names that somebody has and that nobody has, mixed at random. */
export async function measureTiming({ logins, seed }: { logins: number; seed: number }): Promise<Timing> {
  await ready;
  const random = seededRandom(seed);
  const folder = await quietFolder();
  const daemon = await startDaemon(join(folder, 'data'));
  const client = openBareClient();
  const direct = await client.exchange(daemon.address);
  let lastMs = 0;
  const timed: typeof direct = {
    ...direct,
    async request(datagram, accept) {
      const begun = performance.now();
      try {
        return await direct.request(datagram, accept);
      } finally {
        lastMs = performance.now() - begun; // the last request of a challenge is the HELLO
      }
    },
  };
  try {
    const nameOf = (kind: string, n: number): string => `${kind}-${String(n).padStart(2, '0')}`;
    for (let n = 0; n < NAMES; n += 1) await client.register(timed, { username: nameOf('known', n), password: 'correct horse battery' });
    const times: Record<'known' | 'other', number[]> = { known: [], other: [] };
    const guess = async (kind: keyof typeof times): Promise<number> => {
      const ke1 = Buffer.from(opaque.startLogin({ password: 'a guess' }).startLoginRequest, 'base64url');
      await client.challenge(timed, { ke1, name: nameOf(kind, Math.floor(random() * NAMES)) });
      return lastMs;
    };
    for (let n = 0; n < WARM_UP; n += 1) await guess(n % 2 === 0 ? 'known' : 'other');
    for (let n = 0; n < logins; n += 1) {
      const pair: (keyof typeof times)[] = random() < 0.5 ? ['known', 'other'] : ['other', 'known'];
      for (const kind of pair) times[kind].push(await guess(kind));
    }
    const limit = [...times.known, ...times.other].toSorted((one, other) => one - other)[Math.floor(2 * logins * (1 - SLOW_SHARE))] ?? 0;
    const fast = (values: readonly number[]): number[] => values.filter((ms) => ms <= limit);
    return {
      logins,
      knownMs: meanAndVariance(times.known).mean,
      unknownMs: meanAndVariance(times.other).mean,
      t: welch(times.known, times.other),
      tOfFast: welch(fast(times.known), fast(times.other)),
    };
  } finally {
    direct.close();
    await client[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { logins: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } });
  const timing = await measureTiming({ logins: Number(values.logins), seed: Number(values.seed) });
  const { knownMs, unknownMs, t, tOfFast } = timing;
  console.log(`${timing.logins} logins each: known ${knownMs.toFixed(3)} ms, unknown ${unknownMs.toFixed(3)} ms on average`);
  console.log(`Welch's t = ${t.toFixed(2)}; ${tOfFast.toFixed(2)} without the slowest tenth; a difference would be ${T_MAX} or more`);
  process.exitCode = Math.max(Math.abs(t), Math.abs(tOfFast)) < T_MAX ? 0 : 1;
}
