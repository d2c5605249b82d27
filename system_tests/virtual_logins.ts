/**
 * Whole logins, HELLO to ACKED, of the client's and the daemon's real code with real OPAQUE, through links and at a time that are computed: so tens of
 * thousands of them can be tried, and nothing that else runs on the machine makes one late. The daemon has its limits, as everywhere.
 */

import { openOpaqueThreads } from '../Authentication/opaque_threads.ts';
import { type DaemonFixture, twinOf } from '../Authentication/testing/daemon_fixture.ts';
import { arrivals, type Faults } from '../Authentication/testing/lossy_link.ts';
import { directExchange, exchangeAt, openBareClient, openSharedThread } from '../Client/testing/auth_client.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { createVirtualTime, type VirtualTime } from './virtual_time.ts';

/** A datagram to the other side, and what it answers. */
type Deliver = (datagram: Uint8Array, port: number) => Promise<Uint8Array | null>;
type Link = {
  readonly time: VirtualTime;
  readonly random: () => number;
  readonly jitter?: () => number; // of the client, where it is not to be by chance
  readonly faults: Faults;
  readonly deliver: Deliver;
};

type VirtualLogins = {
  readonly base: DaemonFixture; // where the accounts are kept
  readonly faults: Faults;
  readonly logins: number;
  readonly stretchingMs: number;
  readonly seed: number;
  readonly lanes?: number; // users, each of whom logs in again and again
};

const PASSWORD = 'correct horse battery';
const LOOPBACK = { address: '127.0.0.1', port: 9 };
const PORTS = 50_000;

/** A conversation of one client through such a link. */
export function exchangeThrough({ time, random, jitter = random, faults, deliver }: Link, port: number): ReturnType<typeof exchangeAt> {
  const listeners = new Set<(bytes: Uint8Array) => void>();
  const carry = (then: () => void): void => {
    for (const afterMs of arrivals(faults, random)) time.after(afterMs, then);
  };
  const answer = async (datagram: Uint8Array): Promise<void> => {
    const reply = await time.watch(deliver(datagram, port));
    if (reply === null) return;
    carry(() => {
      for (const hear of listeners) hear(reply);
    });
  };
  const socket = {
    send: (datagram: Uint8Array) => carry(() => void answer(datagram)),
    listen(hear: (bytes: Uint8Array) => void) {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
  };
  return exchangeAt({ nowMs: time.nowMs, after: time.after, random: jitter }, socket);
}

/** @returns how long each took in milliseconds, `null` for one that failed */
export async function virtualLogins(options: VirtualLogins): Promise<(number | null)[]> {
  const { base, faults, stretchingMs, seed, lanes = 64 } = options;
  const thread = openSharedThread();
  const opaque = openOpaqueThreads(base.secrets.opaqueSetup, 1);
  const times: (number | null)[] = [];
  let left = options.logins;

  async function lane(number: number): Promise<void> {
    const time = createVirtualTime();
    const random = seededRandom(seed + number);
    const begunAtMs = Date.now();
    const daemon = twinOf(base, { opaque, now: () => begunAtMs + Math.floor(time.nowMs()) });
    const client = openBareClient({ thread, watch: time.watch, stretch: () => time.pause(stretchingMs) });
    const credentials = { username: `user-${number}`, password: PASSWORD };
    const direct = directExchange((datagram) => daemon.receive(datagram, LOOPBACK));
    await client.register(direct, credentials);
    const deliver: Deliver = (datagram, port) => daemon.receive(datagram, { address: `198.51.100.${number % 256}`, port });
    for (let n = 0; left > 0; n += 1) {
      left -= 1;
      const exchange = exchangeThrough({ time, random, faults, deliver }, 1024 + (n % PORTS));
      const sinceMs = time.nowMs();
      const login = client.login(exchange, credentials);
      const took = login.then(
        () => time.nowMs() - sinceMs,
        () => null,
      );
      times.push(await time.until(took));
      exchange.close();
    }
  }

  try {
    await Promise.all(Array.from({ length: Math.min(lanes, options.logins) }, (_, n) => lane(n)));
    return times;
  } finally {
    await Promise.all([thread.close(), opaque.close()]);
  }
}
