import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verify } from '@node-rs/bcrypt';
import { openBareClient } from '../Client/testing/auth_client.ts';
import { median } from './measure.ts';
import { startRadius } from './radius.ts';
import { figureRow, type Row } from './report.ts';

/** Medians over the rounds. */
export type LoginRate = { readonly perSecond: number; readonly p99Ms: number };
export type LoginRates = {
  readonly ours: LoginRate; // by the clock; the clients' own computing shares the machine
  readonly perDaemonCoreSecond: number; // by the processor time that the daemon's process used
  readonly bcrypt: LoginRate;
  readonly radius: LoginRate | null; // not installed
};

type Contender = { login(client: number): Promise<unknown>; readonly logins: number };

const PASSWORD = 'correct horse battery';
const PARALLEL = 32;
const ROUNDS = 3;
const BCRYPT_COST = 12;
const BCRYPT_HASH = '$2y$12$Mcjxv7/llGrIjMWZfTWfT.kPVg3qD3TCNaZXoFsGbn8WozEKkKc12'; // of PASSWORD
const PER_CORE_MIN = 500;

async function answer<Key extends string, Value>(child: ChildProcess, key: Key): Promise<Value> {
  const [message] = (await once(child, 'message')) as [Record<Key, Value>];
  return message[key];
}

async function cpuMs(child: ChildProcess): Promise<number> {
  const reply = answer<'cpuMs', number>(child, 'cpuMs');
  child.send('cpu');
  return reply;
}

/** `PARALLEL` clients, each of which logs in again as soon as it is in. */
async function run({ login, logins }: Contender): Promise<LoginRate> {
  let left = logins;
  const times: number[] = [];
  const begun = performance.now();
  const client = async (_: unknown, number: number): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const since = performance.now();
      await login(number);
      times.push(performance.now() - since);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, client));
  const seconds = (performance.now() - begun) / 1000;
  return { perSecond: logins / seconds, p99Ms: times.toSorted((one, other) => one - other)[Math.floor(logins * 0.99)] ?? Number.NaN };
}

function medians(rates: readonly LoginRate[]): LoginRate {
  return { perSecond: median(rates.map((rate) => rate.perSecond)), p99Ms: median(rates.map((rate) => rate.p99Ms)) };
}

/**
 * Logins of our daemon (HELLO to ACKED over UDP on loopback, sessions durable, stretching of passwords free), checks of a bcrypt hash in this process, and
 * logins of FreeRADIUS by PAP over UDP, in turn.
 * @param scale fraction of the logins, for a trial
 */
async function measureLogins(scale = 1): Promise<LoginRates> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-login-bench-'));
  const radius = await startRadius(join(folder, 'radius'));
  const child = fork(new URL('login_daemon.ts', import.meta.url), [join(folder, 'data')]);
  const address = await answer<'address', string>(child, 'address');
  await using client = openBareClient();
  const exchanges = await Promise.all(Array.from({ length: PARALLEL }, () => client.exchange(address)));
  const radiusClients = await Promise.all(radius === null ? [] : exchanges.map(() => radius.client()));
  const who = (n: number) => ({ username: `user-${n}`, password: PASSWORD });
  const contenders: Record<'ours' | 'bcrypt' | 'radius', Contender | null> = {
    ours: {
      logins: Math.ceil(700 * scale),
      async login(n) {
        const exchange = exchanges[n];
        if (exchange !== undefined) await client.login(exchange, who(n));
      },
    },
    bcrypt: {
      logins: Math.ceil(48 * scale),
      async login() {
        if (!(await verify(PASSWORD, BCRYPT_HASH))) throw new Error('bcrypt refused');
      },
    },
    radius: radius === null ? null : { logins: Math.ceil(4000 * scale), login: async (n) => radiusClients[n]?.login() },
  };
  const rates = { ours: [] as LoginRate[], bcrypt: [] as LoginRate[], radius: [] as LoginRate[] };
  const perCore: number[] = [];
  try {
    for (const [n, exchange] of exchanges.entries()) await client.register(exchange, who(n));
    if (contenders.ours !== null) await run({ ...contenders.ours, logins: 200 }); // compiled and warm
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, contender] of Object.entries(contenders) as [keyof typeof rates, Contender | null][]) {
        if (contender === null) continue;
        const before = await cpuMs(child);
        rates[name].push(await run(contender));
        if (name === 'ours') perCore.push(contender.logins / (((await cpuMs(child)) - before) / 1000));
      }
    }
    return {
      ours: medians(rates.ours),
      perDaemonCoreSecond: median(perCore),
      bcrypt: medians(rates.bcrypt),
      radius: radius === null ? null : medians(rates.radius),
    };
  } finally {
    for (const { close } of [...exchanges, ...radiusClients]) close();
    await radius?.close();
    child.send('end');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
}

function rateText({ perSecond, p99Ms }: LoginRate): string {
  return `${perSecond.toFixed(0)} /s, p99 ${p99Ms.toFixed(0)} ms`;
}

export async function loginRow(scale: number): Promise<Row> {
  const { ours, perDaemonCoreSecond, bcrypt, radius } = await measureLogins(scale);
  return figureRow({
    name: `logins, ${PARALLEL} at a time`,
    target: `≥ ${PER_CORE_MIN} /s of one core`,
    ours: `${perDaemonCoreSecond.toFixed(0)} /s of the daemon's core; by the clock ${rateText(ours)}`,
    peer: `bcrypt cost ${BCRYPT_COST}: ${rateText(bcrypt)}; FreeRADIUS PAP: ${radius === null ? 'not installed' : rateText(radius)}`,
    met: perDaemonCoreSecond >= PER_CORE_MIN,
  });
}
