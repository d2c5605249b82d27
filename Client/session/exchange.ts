import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isLoopbackAddress } from '../../Models/addresses.ts';
import { decodeUint32 } from '../../Models/datagram_fields.ts';
import { NEVER_MS, parseServer, type ServerDatagram } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import type { AuthAddress } from './auth_address.ts';
import { type RoundTrips, TIMING, waitMs, withSample } from './retransmission.ts';

/** One conversation with the daemon over a socket of its own: a request is sent again until its reply is here. */
export type Exchange = {
  /** The daemon is on this machine. */
  readonly loopback: boolean;
  /**
   * @param accept gives what the reply means, or `null` for a reply that is not to be believed (the next one may be)
   * @throws AppError `auth_unreachable` after 30 s, `busy` if that is what the daemon said last, `too_many_requests` if it says to wait longer than that, and what `accept` throws
   */
  request<Result>(datagram: Uint8Array, accept: (reply: ServerDatagram, bytes: Uint8Array) => Result | null): Promise<Result>;
  /** Whoever still waits gets AppError `cancelled`. */
  close(): void;
};

async function connect(address: AuthAddress): Promise<Socket> {
  let socket: Socket | undefined;
  try {
    // "localhost" is often ::1 first, where a daemon that listens on 127.0.0.1 is not
    const found = await lookup(address.host, { order: 'ipv4first' });
    socket = createSocket(found.family === 6 ? 'udp6' : 'udp4');
    socket.connect(address.port, found.address);
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    socket?.close();
    throw new AppError('auth_unreachable', `cannot find the authentication daemon at ${address.text}`, { cause });
  }
}

function unreachable(address: AuthAddress, hint: string | null, wasBusy: boolean): AppError {
  if (wasBusy) return new AppError('busy', `the authentication daemon at ${address.text} is overloaded`);
  const cause = hint === 'ECONNREFUSED' ? 'nothing listens there' : (hint ?? 'it does not run, or something on the way blocks UDP');
  return new AppError('auth_unreachable', `no answer from the authentication daemon at ${address.text}: ${cause}`);
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

export async function openExchange(address: AuthAddress, options: { giveUpMs?: number } = {}): Promise<Exchange> {
  const socket = await connect(address);
  let roundTrips: RoundTrips = null;
  let hint: string | null = null;
  const pending = new Set<(error: unknown) => void>();
  let isOpen = true;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // An ICMP message can be forged, or be about a daemon that is just starting: a hint for the message, no more.
    hint = error.code ?? null;
  });

  function request<Result>(datagram: Uint8Array, accept: (reply: ServerDatagram, bytes: Uint8Array) => Result | null): Promise<Result> {
    const transaction = datagram.subarray(4, 20);
    const giveUpAt = performance.now() + (options.giveUpMs ?? TIMING.giveUpMs);
    return new Promise<Result>((resolve, reject) => {
      let repeats = -1;
      let sentAt = 0;
      let wasBusy = false;
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        socket.off('message', receive);
        pending.delete(fail);
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const sendIn = (delayMs: number): void => {
        clearTimeout(timer);
        timer = setTimeout(send, Math.min(delayMs, giveUpAt - performance.now()));
      };
      const send = (): void => {
        if (performance.now() >= giveUpAt - 1) {
          fail(unreachable(address, hint, wasBusy));
          return;
        }
        repeats += 1;
        sentAt = performance.now();
        socket.send(datagram, (error) => {
          if (error !== null) hint = (error as NodeJS.ErrnoException).code ?? null;
        });
        sendIn(waitMs(roundTrips, repeats, Math.random()));
      };
      const receive = (bytes: Uint8Array): void => {
        const reply = parseServer(bytes);
        if (reply === null || Buffer.compare(reply.transaction, transaction) !== 0) return;
        hint = null;
        wasBusy = reply.kind === 'busy';
        if (reply.kind === 'busy') {
          const retryAfterMs = decodeUint32(reply.retryAfterMs);
          if (retryAfterMs >= TIMING.giveUpMs) {
            fail(tooMany(retryAfterMs));
            return;
          }
          sendIn(retryAfterMs * (1 + Math.random()));
          return;
        }
        try {
          const result = accept(reply, bytes);
          if (result === null) return;
          // A repeated request tells the round trip only roughly (Karn): good enough where there is no better sample yet.
          if (repeats === 0 || roundTrips === null) roundTrips = withSample(roundTrips, performance.now() - sentAt);
          end();
          resolve(result);
        } catch (error) {
          fail(error);
        }
      };
      pending.add(fail);
      socket.on('message', receive);
      send();
    });
  }

  return {
    loopback: isLoopbackAddress(socket.remoteAddress().address),
    request,
    close() {
      if (!isOpen) return;
      isOpen = false;
      for (const fail of pending) fail(new AppError('cancelled', 'the conversation with the authentication daemon was closed'));
      socket.close();
    },
  };
}
