import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Pool } from 'undici';
import { parseEvent } from '../../../Models/events.ts';
import { LIMITS } from '../../../Models/limits.ts';
import { ROUTES } from '../../../Models/routes.ts';
import { type Access, AUTHORITIES, type Trust, trustOf } from '../../http_connect.ts';
import { openPool } from '../../http_exchange.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { EventConnection } from './http_remote_watch.ts';

const SILENCE_MS = 2.5 * LIMITS.eventPingMs; // a server that is there pings
const PING_CHANNEL = 'undici:websocket:ping'; // the only place where Node's WebSocket tells of one

type Place = { readonly url: string; readonly ticket: () => Promise<string>; readonly trust?: Trust };
type Heard = { onText(text: unknown): void; onClose(): void };

/** The same interface in the package and in Node, whose types are of another version of it. */
function dispatching(pool: Pool | null): Pick<WebSocketInit, 'dispatcher'> {
  return pool === null ? {} : { dispatcher: pool as unknown as NonNullable<WebSocketInit['dispatcher']> };
}

/**
 * Opens a WebSocket. Exactly one `onClose` follows, also where it could not be opened or when nothing is heard any more; after `close` nothing does.
 */
export function openEventSocket(
  { url, ticket, trust = AUTHORITIES }: Place,
  heard: Heard,
  clock: Pick<Clock, 'after'> = systemClock,
): { close(): void } {
  let over = false;
  let socket: WebSocket | null = null;
  let pool: Pool | null = null;
  let cancelSilence: () => void = () => undefined;
  const listenOn = (): void => {
    cancelSilence();
    if (!over) cancelSilence = clock.after(SILENCE_MS, lost);
  };
  const onPing = (message: unknown): void => {
    if (typeof message === 'object' && message !== null && 'websocket' in message && message.websocket === socket) listenOn();
  };
  const end = (): void => {
    over = true;
    cancelSilence();
    unsubscribe(PING_CHANNEL, onPing);
    socket?.close();
    void pool?.destroy(); // an open WebSocket is none of its connections any more
  };
  const lost = (): void => {
    if (over) return;
    end();
    heard.onClose();
  };
  const connect = (good: string): void => {
    if (over) return;
    if (url.startsWith('wss:')) pool = openPool(new URL(url.replace(/^ws/, 'http')).origin, trust);
    socket = new WebSocket(url, { headers: { authorization: `Bearer ${good}` }, ...dispatching(pool) });
    socket.addEventListener('message', ({ data }) => {
      if (!over) heard.onText(data);
      listenOn();
    });
    socket.addEventListener('close', lost); // follows every error too
  };
  subscribe(PING_CHANNEL, onPing);
  listenOn();
  ticket().then(connect).catch(lost);
  return { close: end };
}
/** `query` is added to the address; `onOther` gets each message that is none of the two kinds of hints. */
export type EventSocketOptions = { readonly query?: string; readonly onOther?: (text: string) => void };

export function eventSocket(
  access: Access,
  clock: Pick<Clock, 'after'> = systemClock,
  { query = '', onOther = () => undefined }: EventSocketOptions = {},
): EventConnection {
  const url = access.serverUrl.replace(/^http/, 'ws').replace(/\/+$/, '') + ROUTES.events + query;
  return {
    open: (events) =>
      openEventSocket(
        { url, ticket: () => access.ticket(), trust: trustOf(access) },
        {
          onText(text) {
            const event = parseEvent(text);
            if (event?.type === 'connected') events.onOpen();
            else if (event?.type === 'arriving') events.onArriving(event);
            else if (event !== null) events.onHint(event.at);
            else if (typeof text === 'string') onOther(text);
          },
          onClose: () => events.onClose(),
        },
        clock,
      ),
  };
}
