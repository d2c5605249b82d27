import { DATAGRAM } from '../../Models/datagrams.ts';
import { AppError } from '../../Models/errors.ts';
import { ROUTES } from '../../Models/routes.ts';
import { ANYBODY } from '../http_connect.ts';
import { exchange, openPool } from '../http_exchange.ts';
import type { Way } from './way.ts';

const IDLE_MS = 8000;

/**
 * By way of the HTTP server. Any certificate will do: the bytes are those that go over UDP for everybody to see, sealed to the daemon's key or proved
 * by a secret, and no header of ours goes with them. So this works on first contact, and while the pins are not known that come by it.
 */
export function openHttpWay(serverUrl: string): Way {
  const { origin, pathname } = new URL(serverUrl);
  const path = `${pathname.replace(/\/+$/, '')}${ROUTES.auth}`;
  const pool = openPool(origin, ANYBODY);
  const listeners = new Set<(bytes: Uint8Array) => void>();
  const underWay = new Set<Uint8Array>();
  let hint: string | null = null;

  async function ask(datagram: Uint8Array): Promise<Uint8Array | null> {
    const headers = { 'content-type': 'application/octet-stream' };
    const sent = { origin, method: 'POST', path, headers, body: Buffer.from(datagram), signal: undefined, idleMs: IDLE_MS } as const;
    const answer = await exchange(pool, sent);
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > DATAGRAM.clientBytes && answer.status === 200) return null; // not from a daemon
      pieces.push(piece);
    }
    if (answer.status >= 400) hint = `${origin} answers ${answer.status}`;
    return answer.status === 200 ? Buffer.concat(pieces) : null;
  }

  async function carry(datagram: Uint8Array): Promise<void> {
    underWay.add(datagram);
    try {
      const reply = await ask(datagram);
      if (reply !== null) for (const listener of [...listeners]) listener(reply);
    } catch (error) {
      hint = error instanceof Error ? error.message : String(error);
    } finally {
      underWay.delete(datagram);
    }
  }

  return {
    send(datagram) {
      if (!underWay.has(datagram)) void carry(datagram);
    },
    listen(onReply) {
      listeners.add(onReply);
      return () => listeners.delete(onReply);
    },
    hint: () => hint,
    close: () => void pool.destroy(new AppError('cancelled', 'the conversation with the authentication daemon was closed')),
  };
}
