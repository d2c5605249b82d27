import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../Models/errors.ts';
import { parseEventMessage, type RestEvent } from '../Models/rest_events.ts';
import { ROUTES } from '../Models/routes.ts';
import { type Access, trustOf } from './http_connect.ts';
import type { Clock } from './sync/clock.ts';
import { openEventSocket } from './sync/remote/event_socket.ts';

const WAITING_MAX = 1000; // events that came and were not taken yet; then the connection is given up until they are
const PAUSE_MS = { first: 200, most: 10_000 };
const ANSWER_MS = 5000;

export type StreamDeps = {
  readonly access: Access;
  /** Asks for what is behind a cursor, so that a cursor or a session that is not good any more is an error with a code. */
  readonly check: (cursor: string | null) => Promise<unknown>;
  /** Says when nothing was heard for too long. */
  readonly clock?: Pick<Clock, 'after'>;
};

/** Events behind `since` (a cursor, `start` or `now`) and then as they happen, each once, over as many connections as it takes. */
export async function* streamEvents(deps: StreamDeps, since: string, signal?: AbortSignal): AsyncGenerator<RestEvent> {
  const isOver = (): boolean => signal?.aborted === true;
  let at = since;
  for (let failed = 0; !isOver(); ) {
    let hasOpened = false;
    for await (const event of oneConnection(deps, at, signal)) {
      hasOpened = true;
      failed = 0;
      if ('cursor' in event) at = event.cursor;
      yield event;
    }
    if (!hasOpened && !isOver()) await assertWorthWaiting(deps, at);
    failed += 1;
    await pause(failed, signal);
  }
}

/**
 * A connection that cannot be opened does not say why; an answer does. None is waited for long: the connection it is asked on may be one that is dead
 * and does not know it.
 * @throws AppError for what trying again does not mend
 */
async function assertWorthWaiting({ check }: StreamDeps, at: string): Promise<void> {
  const answered = check(at === 'start' || at === 'now' ? null : at).catch((error: unknown) => {
    if (!(error instanceof AppError && WORTH_WAITING.has(error.code))) throw error;
  });
  const waited = new AbortController();
  await Promise.race([answered, sleep(ANSWER_MS, undefined, { signal: waited.signal, ref: false }).catch(() => undefined)]);
  waited.abort();
  answered.catch(() => undefined); // late, and asked again
}
const WORTH_WAITING: ReadonlySet<string> = new Set([
  'server_unreachable',
  'auth_unreachable',
  'busy',
  'too_many_requests',
  'storage_unavailable',
  'internal',
]);

async function pause(failed: number, signal?: AbortSignal): Promise<void> {
  const ms = Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** (failed - 1)) * (0.5 + Math.random() / 2);
  await sleep(ms, undefined, { signal }).catch(() => undefined); // aborted: the caller looks
}

/** What comes on one connection, until it ends. */
async function* oneConnection({ access, clock }: StreamDeps, since: string, signal?: AbortSignal): AsyncGenerator<RestEvent> {
  const waiting: RestEvent[] = [];
  let over = false;
  let wake: () => void = () => undefined;
  const end = (): void => {
    over = true;
    connection.close();
    wake();
  };
  const connection = openEventSocket(
    {
      url: `${access.serverUrl.replace(/^http/, 'ws').replace(/\/+$/, '')}${ROUTES.events}?${new URLSearchParams({ since })}`,
      ticket: () => access.ticket(),
      trust: trustOf(access),
    },
    {
      onText(text) {
        const event = parseEventMessage(text);
        if (event === null || over) return;
        waiting.push(event);
        if (waiting.length >= WAITING_MAX) end();
        else wake();
      },
      onClose: () => {
        over = true;
        wake();
      },
    },
    clock,
  );
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted === true) end();
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (over) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (signal?.aborted === true) return;
    }
  } finally {
    signal?.removeEventListener('abort', end);
    connection.close();
  }
}
