import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBareClient } from '../Client/testing/auth_client.ts';

export type LoginRates = {
  readonly perSecond: number; // by the clock; the clients' own computing shares the machine
  readonly perDaemonCoreSecond: number; // by the processor time that the daemon's process used
};

const WHO = { username: 'alice', password: 'correct horse battery' };
const PARALLEL = 32;

async function answer<Key extends string, Value>(child: ChildProcess, key: Key): Promise<Value> {
  const [message] = (await once(child, 'message')) as [Record<Key, Value>];
  return message[key];
}

async function cpuMs(child: ChildProcess): Promise<number> {
  const reply = answer<'cpuMs', number>(child, 'cpuMs');
  child.send('cpu');
  return reply;
}

/** Whole logins over UDP on loopback (HELLO to ACKED, sessions durable), `PARALLEL` at a time; the stretching of passwords costs nothing here. */
export async function measureLogins(logins = 2000): Promise<LoginRates> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-login-bench-'));
  const child = fork(new URL('login_daemon.ts', import.meta.url), [join(folder, 'data')]);
  const address = await answer<'address', string>(child, 'address');
  await using client = openBareClient();
  const exchanges = await Promise.all(Array.from({ length: PARALLEL }, () => client.exchange(address)));
  try {
    const [first] = exchanges;
    if (first !== undefined) await client.register(first, WHO);
    let left = 0;
    const run = async (count: number): Promise<void> => {
      left = count;
      await Promise.all(
        exchanges.map(async (exchange) => {
          while (left > 0) {
            left -= 1;
            await client.login(exchange, WHO);
          }
        }),
      );
    };
    await run(Math.ceil(logins / 10)); // compiled and warm
    const cpuBefore = await cpuMs(child);
    const begun = performance.now();
    await run(logins);
    const seconds = (performance.now() - begun) / 1000;
    const daemonSeconds = ((await cpuMs(child)) - cpuBefore) / 1000;
    return { perSecond: logins / seconds, perDaemonCoreSecond: logins / daemonSeconds };
  } finally {
    for (const exchange of exchanges) exchange.close();
    child.send('end');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) console.log(await measureLogins(Number(process.argv[2] ?? 2000)));
