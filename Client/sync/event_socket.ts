import { parseEvent } from '../../Models/events.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { EventConnection } from './http_remote_watch.ts';

/** @param ticket one that is good now */
export function eventSocket(serverUrl: string, ticket: () => Promise<string>): EventConnection {
  const url = serverUrl.replace(/^http/, 'ws').replace(/\/+$/, '') + ROUTES.events;
  return {
    open(events) {
      let closed = false;
      let socket: WebSocket | null = null;
      const end = (): void => {
        if (!closed) events.onClose();
        closed = true;
      };
      const connect = (good: string): void => {
        if (closed) return;
        socket = new WebSocket(url, { headers: { authorization: `Bearer ${good}` } });
        socket.addEventListener('message', ({ data }) => {
          const event = closed ? null : parseEvent(data);
          if (event?.type === 'connected') events.onOpen();
          else if (event !== null) events.onHint();
        });
        socket.addEventListener('close', end); // follows every error too
      };
      ticket().then(connect).catch(end);
      return {
        close() {
          closed = true;
          socket?.close();
        },
      };
    },
  };
}
