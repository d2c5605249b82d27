import { AppError, type ErrorCode } from '../../Models/errors.ts';
import type { Clock } from './clock.ts';
import type { OnHint, Watcher } from './disk/disk.ts';
import { folderOf, inFolder } from './disk/disk_paths.ts';
import type { Engine, PassReport } from './engine.ts';
import type { Remote } from './remote/remote.ts';

export type LiveState =
  | { readonly state: 'working' | 'idle' | 'paused' | 'closed' }
  /** Offline: it is tried again by itself. Ended: nothing but a person can mend it, as when the login was ended. */
  | { readonly state: 'offline' | 'ended'; readonly error: AppError };

export type LiveDeps = {
  readonly engine: Pick<Engine, 'pass'>;
  readonly remote: Pick<Remote, 'watch'>;
  /** `null` where nothing can be watched: then the full scans are all there is. */
  readonly watch: ((onHint: OnHint) => Watcher) | null;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  /** Milliseconds since 1970: unlike the clock it goes on while the machine sleeps. */
  readonly wallMs: () => number;
  readonly paused: boolean;
  readonly onState: (state: LiveState) => void;
  readonly onPass: (report: PassReport) => void;
  /** Something that no retry can mend: the loop has ended. */
  readonly onEnd: (error: Error) => void;
};

export type Live = {
  readonly coverage: Watcher['coverage'] | null;
  /** Look at everything now. */
  nudge(): void;
  pause(): void;
  resume(): void;
  close(): Promise<void>;
};

const STILL_MS = 20; // a file is looked at once it has been still for so long,
const STILL_MS_MAX = 2000; // doubling with each change
const BURST_MS = 5; // hints that follow each other so closely are of one change: saving a file makes two or three
const PATIENCE_MS = 10_000; // one that never is still is tried all the same
const FULL_SCAN_MS = 10 * 60_000;
const ASLEEP_MS = 30_000; // the loop woke so much later than it should have: the machine slept
const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 60_000;

/** Only a person can mend these. Whatever else goes wrong, as on a server that is full or has a fault, is tried again. */
const ENDING: ReadonlySet<ErrorCode> = new Set([
  'ticket_missing',
  'ticket_invalid',
  'ticket_revoked',
  'session_unknown',
  'not_logged_in',
  'server_key_changed',
  'server_certificate_changed',
  'protocol_mismatch',
  'cancelled',
]);

type Restless = { dueAt: number; waitMs: number; hintMs: number; readonly sinceMs: number };

/** Runs passes for as long as it lives: at once when the server has something new, as soon as changed files are still, and everything every ten minutes. */
export function runLive(deps: LiveDeps): Live {
  const { clock, engine } = deps;
  const restless = new Map<string, Restless>(); // by path
  let everything = true;
  let feed = true;
  let paused = deps.paused;
  let closed = false;
  let working = false;
  let lastFullMs = clock.now();
  let retryAtMs: number | null = null;
  let failures = 0;
  let wake: (() => void) | null = null;

  const rouse = (): void => {
    wake?.();
    wake = null;
  };
  const onHint = (path: string | null): void => {
    if (path === null) everything = true;
    else {
      const now = clock.now();
      const known = restless.get(path);
      if (known === undefined) restless.set(path, { dueAt: now + STILL_MS, waitMs: STILL_MS, hintMs: now, sinceMs: now });
      else {
        if (now - known.hintMs >= BURST_MS) known.waitMs = Math.min(known.waitMs * 2, STILL_MS_MAX);
        known.hintMs = now;
        known.dueAt = Math.min(now + known.waitMs, known.sinceMs + PATIENCE_MS);
      }
    }
    rouse();
  };
  const watcher = deps.watch?.(onHint) ?? null;
  const unwatch = deps.remote.watch(() => {
    feed = true;
    if (failures > 0) retryAtMs = clock.now(); // it answers again
    rouse();
  });

  /** When something is to be done next. */
  function nextAt(): number {
    if (paused) return Number.POSITIVE_INFINITY;
    if (failures > 0) return retryAtMs ?? clock.now();
    if (everything || feed) return clock.now();
    let at = lastFullMs + FULL_SCAN_MS;
    if (retryAtMs !== null) at = Math.min(at, retryAtMs);
    for (const { dueAt } of restless.values()) at = Math.min(at, dueAt);
    return at;
  }

  async function idle(): Promise<void> {
    const at = nextAt();
    const waitMs = at - clock.now();
    if (waitMs <= 0) return;
    const asked = deps.wallMs();
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const bounded = Math.min(waitMs, ASLEEP_MS);
    const end = clock.after(bounded, resolve);
    await promise;
    end();
    if (deps.wallMs() - asked > bounded + ASLEEP_MS) everything = true;
  }

  /** Paths that are still by now, taken out of the list. */
  function takeStill(): { folders: Set<string>; moving: Set<string> } {
    const now = clock.now();
    const folders = new Set<string>();
    const moving = new Set<string>();
    for (const [path, { dueAt }] of restless) {
      if (dueAt > now) moving.add(path);
      else {
        restless.delete(path);
        folders.add(folderOf(path));
      }
    }
    return { folders, moving };
  }

  async function once(): Promise<void> {
    const now = clock.now();
    if (now - lastFullMs >= FULL_SCAN_MS) everything = true;
    const all = everything;
    const { folders, moving } = takeStill();
    const options = { restless: moving, feed: feed || all };
    everything = false;
    feed = false;
    retryAtMs = null;
    working = true;
    deps.onState({ state: 'working' });
    try {
      const report = await engine.pass(all ? options : { ...options, folders });
      if (all) lastFullMs = now;
      failures = 0;
      retryAtMs = report.retryAtMs === null ? null : clock.now() + Math.max(report.retryAtMs - deps.wallMs(), 0);
      deps.onPass(report);
      rest({ state: 'idle' });
    } catch (error) {
      if (!(error instanceof AppError) || ENDING.has(error.code)) throw error;
      everything ||= all;
      feed = true;
      for (const folder of folders) restless.set(inFolder(folder, '.'), { dueAt: 0, waitMs: STILL_MS, hintMs: now, sinceMs: now });
      failures += 1;
      retryAtMs = clock.now() + Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MS_MAX);
      rest({ state: 'offline', error });
    }
  }

  /** After a pass: whoever paused meanwhile is told once nothing goes on any more. */
  function rest(state: LiveState): void {
    working = false;
    deps.onState(paused ? { state: 'paused' } : state);
  }

  async function loop(): Promise<void> {
    while (!closed) {
      await idle();
      if (!closed && !paused && nextAt() <= clock.now()) await once();
    }
  }

  if (paused) deps.onState({ state: 'paused' });
  const ended = loop().catch((error: unknown) => {
    closed = true;
    deps.onEnd(error instanceof Error ? error : new Error(String(error)));
  });

  return {
    get coverage() {
      return watcher?.coverage ?? null;
    },
    nudge() {
      everything = true;
      retryAtMs = null;
      failures = 0;
      rouse();
    },
    pause() {
      paused = true;
      if (!working) deps.onState({ state: 'paused' });
    },
    resume() {
      paused = false;
      everything = true;
      rouse();
    },
    async close() {
      closed = true;
      rouse();
      watcher?.close();
      unwatch();
      await ended;
      deps.onState({ state: 'closed' });
    },
  };
}
