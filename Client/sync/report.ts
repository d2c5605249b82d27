import { hash } from 'node:crypto';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { SyncReportBody } from '../../Models/rest_receipt.ts';
import type { Clock } from './clock.ts';
import { realProblems } from './control/root_rows.ts';
import { ROOT } from './core/tree.ts';
import type { Held } from './guards.ts';
import type { SyncIndex } from './index/sync_index.ts';

type Said = Omit<SyncReportBody, 'state' | 'counter' | 'mark'>;

export type ReporterDeps = {
  readonly index: SyncIndex;
  readonly held: () => readonly Held[];
  /** @returns false: another copy of the index has counted further. @throws AppError */
  readonly send: (report: SyncReportBody) => Promise<boolean>;
  readonly clock: Pick<Clock, 'after'>;
  readonly wallMs: () => number; // since 1970
};

/** Tells the server what is on this disk: soon after a pass that changed something, and now and then that it still is so. */
export type Reporter = {
  /** A pass is over, as it may be. */
  passed(): void;
  /** What waits to be told is told now. A server that does not take it is told with a later pass. */
  flush(): Promise<void>;
  close(): void;
};

const SOON_MS = 1000; // what changes meanwhile is told together, and beside the work rather than in it
const STILL_SO_MS = 5 * 60_000;

export function createReporter({ index, held, send, clock, wallMs }: ReporterDeps): Reporter {
  let next: SyncReportBody | null = null;
  let cancel: (() => void) | null = null;
  let refused = { mark: '', atMs: 0 };
  let closed = false;

  const isRecent = (atMs: number): boolean => atMs <= wallMs() && wallMs() - atMs < STILL_SO_MS;

  function isTold(mark: string): boolean {
    if (refused.mark === mark && isRecent(refused.atMs)) return true;
    return index.setting('reported') === mark && isRecent(Number(index.setting('reported_at_ms')));
  }

  async function flush(): Promise<void> {
    cancel?.();
    cancel = null;
    const report = next;
    next = null;
    if (report === null) return;
    try {
      const accepted = await send(report);
      if (closed) return;
      if (!accepted) refused = { mark: report.mark, atMs: wallMs() };
      // killed before: the server has a report that this index does not know of, and forgets it when the index shows itself
      else
        index.observe(() => {
          index.setSetting('reported', report.mark);
          index.setSetting('reported_at_ms', String(wallMs()));
        });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  }

  return {
    passed() {
      const report = reportOf(index, held());
      next = report === null || isTold(report.mark) ? null : report;
      if (next !== null && !closed) cancel ??= clock.after(SOON_MS, () => void flush());
    },
    flush,
    close() {
      closed = true;
      next = null;
      cancel?.();
    },
  };
}

/** @returns `null`: nothing is known yet that could be told */
function reportOf(index: SyncIndex, held: readonly Held[]): SyncReportBody | null {
  const [state, counter, cursor] = ['state', 'state_counter', 'cursor'].map((name) => index.setting(name));
  const root = index.ancestor.get(ROOT)?.node;
  if (state === undefined || counter === undefined || cursor === undefined || !root) return null;
  const changed = index.changed();
  const problems = index.problems();
  const isRootHeld = held.some(({ guard }) => guard === 'root');
  const said: Said = {
    root,
    cursor,
    missing: isRootHeld ? null : missingIn(index, [...changed, ...problems.flatMap(({ id }) => id ?? [])]),
    waiting: changed.length,
    problems: realProblems(problems).length,
    held: held.length > 0,
  };
  return { ...said, state, counter: Number(counter), mark: hash('sha256', `${state} ${JSON.stringify(said)}`, 'hex').slice(0, 32) };
}

/**
 * What the server has and this disk has not, or not the same, or that could not be seen: of a folder only itself is named.
 * @param differing nodes, in any order
 * @returns `null`: not known, or too many
 */
function missingIn(index: SyncIndex, differing: readonly number[]): number[] | null {
  const ids = new Set(differing);
  if (index.setting('left_out_known') === undefined || ids.has(ROOT)) return null;
  const missing = new Set(index.leftOut(LIMITS.syncReportMissingMax + 1));
  for (const id of ids) {
    const there = index.remote.get(id);
    if (there === undefined || ids.has(there.parent)) continue;
    missing.add(there.node);
    if (missing.size > LIMITS.syncReportMissingMax) return null;
  }
  return missing.size > LIMITS.syncReportMissingMax ? null : [...missing].sort((a, b) => a - b);
}
