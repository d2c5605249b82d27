import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { parseEvent } from '../../Models/events.ts';
import { LIMITS } from '../../Models/limits.ts';
import { ROUTES } from '../../Models/routes.ts';
import { type Clock, systemClock } from './clock.ts';
import type { EventConnection } from './http_remote_watch.ts';

const SILENCE_MS = 2.5 * LIMITS.eventPingMs; // a server that is there pings
const PING_CHANNEL = 'undici:websocket:ping'; // the only place where Node's WebSocket tells of one

/** @param ticket one that is good now */
export function eventSocket(serverUrl: string, ticket: () => Promise<string>, clock: Pick<Clock, 'after'> = systemClock): EventConnection {
  const url = serverUrl.replace(/^http/, 'ws').replace(/\/+$/, '') + ROUTES.events;
  return {
    open(events) {
      let over = false;
      let socket: WebSocket | null = null;
      let cancelSilence: () => void = () => undefined;
      const heard = (): void => {
        cancelSilence();
        if (!over) cancelSilence = clock.after(SILENCE_MS, lost);
      };
      const onPing = (message: unknown): void => {
        if (typeof message === 'object' && message !== null && 'websocket' in message && message.websocket === socket) heard();
      };
      const end = (): void => {
        over = true;
        cancelSilence();
        unsubscribe(PING_CHANNEL, onPing);
        socket?.close();
      };
      const lost = (): void => {
        if (over) return;
        end();
        events.onClose();
      };
      const connect = (good: string): void => {
        if (over) return;
        socket = new WebSocket(url, { headers: { authorization: `Bearer ${good}` } });
        socket.addEventListener('message', ({ data }) => {
          const event = over ? null : parseEvent(data);
          heard();
          if (event?.type === 'connected') events.onOpen();
          else if (event !== null) events.onHint(event.at);
        });
        socket.addEventListener('close', lost); // follows every error too
      };
      subscribe(PING_CHANNEL, onPing);
      heard();
      ticket().then(connect).catch(lost);
      return { close: end };
    },
  };
}
