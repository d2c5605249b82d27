import { decodeUint32 } from '../../Models/datagram_fields.ts';
import { DATAGRAM, LAYOUTS, NEVER_MS, parseServer, type ServerDatagram } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import { isLoopback } from '../loopback.ts';
import type { AuthAddress } from './auth_address.ts';
import { type RoundTrips, TIMING, waitMs, withSample } from './retransmission.ts';
import { openUdpWay, type UdpWay } from './udp_way.ts';
import type { Way, WayName } from './way.ts';

/** One conversation with the daemon: a request is sent again until its reply is here. */
export type Exchange = {
  /** The daemon is on this machine, whichever way leads to it. */
  readonly loopback: boolean;
  /** The way on which the last reply came; UDP before there was one. */
  way(): WayName;
  /**
   * @param accept gives what the reply means, or `null` for a reply that is not to be believed (the next one may be)
   * @throws AppError `auth_unreachable` after 30 s, `busy` if that is what the daemon said last, `too_many_requests` if it says to wait longer than that, and what `accept` throws
   */
  request<Result>(datagram: Uint8Array, accept: (reply: ServerDatagram, bytes: Uint8Array) => Result | null): Promise<Result>;
  /** Whoever still waits gets AppError `cancelled`. */
  close(): void;
};

/** Time and chance, which tests have of their own. */
export type Clock = {
  nowMs(): number;
  /** @returns calls it off */
  after(delayMs: number, then: () => void): () => void;
  random(): number; // 0 to 1
};

export type ExchangeOptions = {
  readonly giveUpMs?: number;
  readonly clock?: Clock;
  /** The HTTP server that carries datagrams too; without it there is UDP alone. */
  readonly serverUrl?: string;
  /** Where to begin: the way that was good the last time. */
  readonly first?: WayName;
  /** How long the first way may be silent before the other is tried as well; a third of `giveUpMs` at most. */
  readonly patienceMs?: number;
};

const REAL_CLOCK: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};
const OTHER = { udp: 'http', http: 'udp' } as const;

function hasCookie(datagram: Uint8Array): boolean {
  const { headerBytes } = DATAGRAM;
  return datagram.subarray(headerBytes, headerBytes + LAYOUTS.client.hello.fields.cookie).some((byte) => byte !== 0);
}

function unreachable(address: AuthAddress, ways: readonly (Way | null)[], wasBusy: boolean): AppError {
  if (wasBusy) return new AppError('busy', `the authentication daemon at ${address.text} is overloaded`);
  const [udp, http] = ways.map((way) => way?.hint() ?? null);
  const overHttp = http === null || http === undefined ? '' : `; over HTTP: ${http}`;
  const cause = udp ?? 'it does not run, or something on the way blocks UDP';
  return new AppError('auth_unreachable', `no answer from the authentication daemon at ${address.text}: ${cause}${overHttp}`);
}

function tooMany(retryAfterMs: number): AppError {
  const when =
    retryAfterMs === NEVER_MS
      ? 'log in from a device that you have used before, and change the password there, or ask the administrator'
      : `try again in ${waitText(retryAfterMs)}`;
  return new AppError('too_many_requests', `too many attempts: ${when}`, { retryAfterMs });
}

/** `a minute`, `7 minutes`, `3 hours`, `12 days`, each rounded up. */
export function waitText(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  if (minutes <= 1) return 'a minute';
  if (minutes < 120) return `${minutes} minutes`;
  return minutes < 48 * 60 ? `${Math.ceil(minutes / 60)} hours` : `${Math.ceil(minutes / 1440)} days`;
}

/** Over UDP, and after three seconds of silence also over HTTP; what answers first is where the conversation goes on. */
export async function openExchange(address: AuthAddress, options: ExchangeOptions = {}): Promise<Exchange> {
  return exchangeOver(await openUdpWay(address), address, options);
}

/** The same, over a socket that is open already, or what stands for it. */
export function exchangeOver(udp: UdpWay, address: AuthAddress, options: ExchangeOptions = {}): Exchange {
  const { giveUpMs = TIMING.giveUpMs, clock = REAL_CLOCK, serverUrl } = options;
  const patienceMs = Math.min(options.patienceMs ?? TIMING.patienceMs, giveUpMs / 3);
  let http: Way | null = null;
  const roundTrips: Record<WayName, RoundTrips> = { udp: null, http: null };
  let first: WayName = serverUrl === undefined ? 'udp' : (options.first ?? 'udp');
  const pending = new Set<(error: unknown) => void>();
  let isOpen = true;

  /** @returns `null` where there is no such way, or no use for it any more */
  async function wayOf(name: WayName): Promise<Way | null> {
    if (name === 'udp') return udp;
    if (serverUrl === undefined) return null;
    const { openHttpWay } = await import('./http_way.ts');
    if (isOpen) http ??= openHttpWay(serverUrl);
    return isOpen ? http : null;
  }

  function request<Result>(datagram: Uint8Array, accept: (reply: ServerDatagram, bytes: Uint8Array) => Result | null): Promise<Result> {
    const transaction = datagram.subarray(4, 20);
    return new Promise<Result>((resolve, reject) => {
      const stops: (() => void)[] = [];
      let isOver = false;
      let wasBusy = false;
      let isSilent = true;
      const began = first;
      const isOfHttp = began === 'http' && hasCookie(datagram);
      let letRetryGo = (): void => undefined;
      let isRetryHeld = false;
      const end = (): void => {
        isOver = true;
        for (const stop of stops) stop();
        pending.delete(fail);
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const after = (delayMs: number, then: () => void): void => void stops.push(clock.after(delayMs, then));

      /** Sends again and again on one way. */
      const begin = (name: WayName, way: Way | null): void => {
        if (isOver || way === null) return;
        let repeats = -1;
        let sentAt = 0;
        let stopRepeat = (): void => undefined;
        let stopProbe = (): void => undefined;
        const sendIn = (delayMs: number, isProbe: boolean): void => {
          stopRepeat();
          stopRepeat = clock.after(delayMs, () => send(isProbe));
        };
        const send = (isProbe: boolean): void => {
          repeats += 1;
          sentAt = clock.nowMs();
          way.send(datagram);
          stopProbe();
          if (isProbe && name === 'udp') stopProbe = clock.after(TIMING.secondProbeMs, () => way.send(datagram));
          sendIn(waitMs(roundTrips[name], repeats, clock.random()), true);
        };
        const receive = (bytes: Uint8Array, wasHeld = false): void => {
          const reply = parseServer(bytes);
          if (reply === null || Buffer.compare(reply.transaction, transaction) !== 0) return;
          if (reply.kind === 'retry' && name === 'udp' && isOfHttp && !wasHeld) {
            // A cookie that came over HTTP is none over UDP. That says nothing of the request, which may be worked on: to begin again would do it twice.
            if (!isRetryHeld) letRetryGo = clock.after(giveUpMs / 3, () => receive(bytes, true));
            isRetryHeld = true;
            return;
          }
          if (name === 'http' || wasHeld) {
            letRetryGo();
            isRetryHeld = false; // the next one counts once HTTP was silent for as long again
          }
          isSilent = false;
          wasBusy = reply.kind === 'busy';
          if (reply.kind === 'busy') {
            const retryAfterMs = decodeUint32(reply.retryAfterMs);
            stopProbe();
            if (retryAfterMs >= TIMING.giveUpMs) fail(tooMany(retryAfterMs));
            else sendIn(retryAfterMs * (1 + clock.random()), false);
            return;
          }
          try {
            const result = accept(reply, bytes);
            if (result === null) return;
            // A repeated request tells the round trip only roughly (Karn): good enough where there is no better sample yet.
            if (repeats === 0 || roundTrips[name] === null) roundTrips[name] = withSample(roundTrips[name], clock.nowMs() - sentAt);
            first = name;
            end();
            resolve(result);
          } catch (error) {
            fail(error);
          }
        };
        stops.push(
          way.listen((bytes) => receive(bytes)),
          () => stopRepeat(),
          () => stopProbe(),
          () => letRetryGo(),
        );
        send(false);
      };
      const open = (name: WayName): void => {
        wayOf(name).then((way) => begin(name, way), fail);
      };

      pending.add(fail);
      after(giveUpMs, () => fail(unreachable(address, [udp, http], wasBusy)));
      after(patienceMs, () => {
        if (isSilent) open(OTHER[began]);
      });
      open(began);
    });
  }

  return {
    loopback: udp.loopback && (serverUrl === undefined || isLoopback(serverUrl)),
    way: () => first,
    request,
    close() {
      if (!isOpen) return;
      isOpen = false;
      for (const fail of pending) fail(new AppError('cancelled', 'the conversation with the authentication daemon was closed'));
      udp.close();
      http?.close();
    },
  };
}
