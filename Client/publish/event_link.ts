import type { Access } from '../http_connect.ts';
import { type Clock, systemClock } from '../sync/clock.ts';
import { eventSocket } from '../sync/remote/event_socket.ts';
import { watchEvents } from '../sync/remote/http_remote_watch.ts';

export type LinkSession = Access;
export type LinkEvents = {
  /** A message that is no hint. */
  readonly onMessage: (message: unknown) => void;
  /** The connection is open again, or it is time to look at what it would have told. */
  readonly onLook: () => void;
};

/** An event connection that is opened again whenever it was lost. @param query of its address @returns ends it */
export function openEventLink(
  session: LinkSession,
  { query, clock = systemClock }: { query?: string; clock?: Clock },
  { onMessage, onLook }: LinkEvents,
): () => void {
  const onOther = (text: string): void => {
    const message = parsed(text);
    if (message !== undefined) onMessage(message);
  };
  const socket = eventSocket(session, clock, { onOther, ...(query === undefined ? {} : { query }) });
  return watchEvents(socket, clock, (at) => {
    if (at === null) onLook();
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
