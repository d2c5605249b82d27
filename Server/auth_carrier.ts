import { createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { encodeQuestion, openAnswer } from '../Models/carried.ts';
import { AppError } from '../Models/errors.ts';
import type { Primitives } from '../Models/handshake.ts';
import { LIMITS } from '../Models/limits.ts';

/** The one primitive that envelopes need. */
const p: Pick<Primitives, 'hmac'> = {
  hmac(key, ...parts) {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
};

/** Brings datagrams of clients to the daemon on this machine. */
export type AuthCarrier = {
  /**
   * @param address of the client
   * @returns the daemon's reply; `null` where it has none
   * @throws AppError `auth_unreachable` when it says nothing for three seconds, `data_folder_unusable`
   */
  carry(datagram: Uint8Array, address: string): Promise<Uint8Array | null>;
  close(): Promise<void>;
};

/** @param place where the daemon listens. @param readKey asked for each datagram, since the key may be made anew while this runs */
export function openAuthCarrier(place: { readonly host: string; readonly port: number }, readKey: () => Promise<Uint8Array>): AuthCarrier {
  const waiting = new Map<string, (reply: Uint8Array | null) => void>();
  let key: Uint8Array = new Uint8Array(0);
  let opened: Promise<Socket> | null = null;

  function receive(bytes: Uint8Array): void {
    const answer = openAnswer(p, key, bytes);
    if (answer !== null) waiting.get(nameOf(answer.id))?.(answer.reply);
  }

  async function open(): Promise<Socket> {
    const host = hereOf(place.host);
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    try {
      socket.connect(place.port, host);
      await once(socket, 'connect');
    } catch (error) {
      socket.close();
      opened = null;
      throw error;
    }
    socket.on('error', () => undefined); // nothing listens there now: whoever waits is told when the time is over
    socket.on('message', receive);
    return socket;
  }

  return {
    async carry(datagram, address) {
      key = await readKey();
      opened ??= open();
      const socket = await opened.catch(noAnswer);
      const id = randomBytes(16);
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
      const timer = setTimeout(() => reject(silent()), LIMITS.carriedTimeoutMs);
      waiting.set(nameOf(id), resolve);
      socket.send(encodeQuestion(p, key, { id, address, timeMs: Date.now(), datagram }), () => undefined);
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(nameOf(id));
      }
    },
    async close() {
      const socket = await opened?.catch(() => null);
      if (socket === null || socket === undefined) return;
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

const nameOf = (id: Uint8Array): string => Buffer.from(id).toString('hex');

/** A daemon that listens on all addresses of this machine also listens on loopback. */
function hereOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

function silent(cause?: unknown): AppError {
  return new AppError('auth_unreachable', 'the authentication daemon does not answer', { cause });
}

function noAnswer(cause: unknown): never {
  throw silent(cause);
}
