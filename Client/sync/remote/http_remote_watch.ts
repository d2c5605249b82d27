import type { ArrivingFile, Moment } from '../../../Models/events.ts';
import { backOffMs, type Clock } from '../clock.ts';

/** A connection on which the server says that something may be new. */
export type EventConnection = {
  /** Opens one. Exactly one `onClose` follows, also where it could not be opened; after `close` nothing does. */
  readonly open: (events: { onOpen(): void; onHint(at: Moment | null): void; onArriving(file: ArrivingFile): void; onClose(): void }) => {
    close(): void;
  };
};

const PAUSE = { first: 100, most: 30_000 }; // ms
const POLL_MS = 10_000;
const CONNECTED_POLL_MS = 300_000; // a server of several tells only what it did itself
const STEADY_MS = 10_000; // a connection that lived so long was a good one: the next is opened at once

/** One `watch` of `Remote`: see there; told with the time of what is new, where that is known. While there is no connection, time alone is the hint. */
export function watchEvents(
  events: EventConnection,
  clock: Clock,
  onHint: (at: Moment | null) => void,
  onArriving: (file: ArrivingFile) => void = () => undefined,
): () => void {
  let ended = false;
  let failed = 0; // attempts, one after the other
  let connection: { close(): void } | null = null;
  let cancelRetry: () => void = () => undefined;
  let cancelPoll: () => void = () => undefined;

  const poll = (everyMs: number): void => {
    cancelPoll();
    cancelPoll = clock.after(everyMs, () => {
      poll(everyMs);
      onHint(null);
    });
  };
  const connect = (): void => {
    let openedAt: number | null = null;
    connection = events.open({
      onOpen() {
        openedAt = clock.now();
        poll(CONNECTED_POLL_MS);
        onHint(null); // what happened while there was no connection was not told
      },
      onHint,
      onArriving,
      onClose() {
        if (ended) return;
        if (openedAt !== null) poll(POLL_MS);
        failed = openedAt !== null && clock.now() - openedAt >= STEADY_MS ? 1 : failed + 1;
        cancelRetry = clock.after(backOffMs(failed, PAUSE, clock.random()), connect);
      },
    });
  };
  poll(POLL_MS);
  connect();
  return () => {
    ended = true;
    cancelRetry();
    cancelPoll();
    connection?.close();
  };
}
