import { formatBytes } from '../../Models/format_bytes.ts';
import type { SyncEvent } from '../client.ts';
import type { PlanRow, StatusRow } from '../sync/control/control_messages.ts';
import { type PlanTotals, planTotals } from '../sync/control/plan_rows.ts';
import { heldRow, problemRow, realProblems } from '../sync/control/root_rows.ts';
import { countOf, grouped } from './format.ts';
import { formatRate } from './rates.ts';

/** A line for a person and the same facts for a program. */
export type SyncLine = { readonly line: string; readonly json: unknown };

type Done = Extract<SyncEvent, { type: 'done' }>['done'];

/** What was done since the last time it was told. */
export type Tally = {
  sent: number;
  sentBytes: number;
  fetched: number;
  fetchedBytes: number;
  moved: number;
  deleted: number;
  conflicts: number;
};

export function emptyTally(): Tally {
  return { sent: 0, sentBytes: 0, fetched: 0, fetchedBytes: 0, moved: 0, deleted: 0, conflicts: 0 };
}

export function count(tally: Tally, { direction, kind, bytes }: Done): void {
  if (kind === 'put' || kind === 'replace') {
    if (direction === 'up') {
      tally.sent += 1;
      tally.sentBytes += bytes;
    } else {
      tally.fetched += 1;
      tally.fetchedBytes += bytes;
    }
  } else if (kind === 'move') tally.moved += 1;
  else if (kind === 'delete') tally.deleted += 1;
  else if (kind === 'set_aside') tally.conflicts += 1;
}

/** For example `12 files sent (3.4 MB), 1 deleted`; `''` for nothing. */
export function tallyText(tally: Tally): string {
  const parts: string[] = [];
  if (tally.sent > 0) parts.push(`${countOf(tally.sent, 'file')} sent (${formatBytes(tally.sentBytes)})`);
  if (tally.fetched > 0) parts.push(`${countOf(tally.fetched, 'file')} fetched (${formatBytes(tally.fetchedBytes)})`);
  if (tally.moved > 0) parts.push(`${grouped(tally.moved)} moved`);
  if (tally.deleted > 0) parts.push(`${grouped(tally.deleted)} deleted`);
  if (tally.conflicts > 0) parts.push(countOf(tally.conflicts, 'conflict'));
  return parts.join(', ');
}

/** One step that was done, in words; `null`: not worth a line. */
function doneText({ direction, kind, path }: Done): string | null {
  const there = direction === 'up' ? 'on the server' : 'here';
  switch (kind) {
    case 'put':
    case 'replace':
      return `${direction === 'up' ? 'sent' : 'fetched'} ${path}`;
    case 'make':
      return `made the folder ${path} ${there}`;
    case 'move':
      return `moved to ${path} ${there}`;
    case 'delete':
      return `deleted ${path} ${there}`;
    case 'set_aside':
      return `conflict: your version is kept as ${path}; see "driftless conflicts"`;
    default:
      return null; // what was only found to be the same, or had its time set
  }
}

const NAMED_MAX = 20; // steps of one pass that are named; the rest is counted

/**
 * Turns what happens to one folder into lines: what was done, what went wrong or is held, each once.
 * @param local the folder, named in each line for a program
 */
export function createNarrator(local: string) {
  let tally = emptyTally();
  let named = 0;
  let state = '';
  let held = '';
  const problems = new Map<string, string>(); // reason by path

  function* ofDone(done: Done): Generator<SyncLine> {
    count(tally, done);
    const text = doneText(done);
    if (text === null) return;
    named += 1;
    const json = { event: 'done', local, ...done };
    if (named <= NAMED_MAX) yield { line: text, json };
    else yield { line: '', json }; // for a program; a person is told the sum
  }
  function* ofPass(problemsNow: readonly { path: string }[]): Generator<SyncLine> {
    if (named > NAMED_MAX) yield { line: `in all: ${tallyText(tally)}`, json: { event: 'sum', local, ...tally } };
    tally = emptyTally();
    named = 0;
    const left = new Set(problemsNow.map(({ path }) => path));
    for (const path of problems.keys()) if (!left.has(path)) problems.delete(path);
  }
  function* ofHeld(all: Extract<SyncEvent, { type: 'held' }>['held']): Generator<SyncLine> {
    const next = JSON.stringify(all);
    if (next === held) return;
    held = next;
    for (const row of all.map(heldRow)) yield { line: `held: ${row.meaning} ${row.next}`, json: { event: 'held', local, ...row } };
  }
  /** Each attempt to reach a server that does not answer is work again: only work that was finished tells that it answers. */
  function* ofState(now: Extract<SyncEvent, { type: 'state' }>['state']): Generator<SyncLine> {
    if (now.state === 'working' || now.state === state) return;
    const before = state;
    state = now.state;
    const error = 'error' in now ? { code: now.error.code, message: now.error.message } : null;
    const json = { event: 'state', local, state, ...(error === null ? {} : { error }) };
    if (error !== null) {
      yield { line: `${state === 'offline' ? 'offline, it goes on by itself' : 'stopped'}: ${error.message} (${error.code})`, json };
    } else if (state === 'paused') yield { line: 'paused; go on with "driftless resume"', json };
    else if (state !== 'idle') return;
    else if (before === 'offline') yield { line: 'the server answers again', json };
    else yield { line: before === 'paused' ? 'resumed' : '', json };
  }

  return {
    /** @param known what is wrong now. `line` is empty for what only a program wants to know */
    *tell(event: SyncEvent, known: readonly { path: string }[]): Generator<SyncLine> {
      switch (event.type) {
        case 'done':
          return yield* ofDone(event.done);
        case 'problem': {
          if (problems.get(event.path) === event.reason || realProblems([{ ...event, ...NO_PROBLEM }]).length === 0) return;
          problems.set(event.path, event.reason);
          if (event.reason === 'still_changing') return; // it passes by itself, and is said when asked for
          const row = problemRow(event);
          return yield { line: `${row.path}: ${row.meaning} ${row.next}`, json: { event: 'problem', local, ...row } };
        }
        case 'held':
          return yield* ofHeld(event.held);
        case 'healed':
          return yield { line: HEALED, json: { event: 'healed', local } };
        case 'pass':
          return yield* ofPass(known);
        case 'state':
          return yield* ofState(event.state);
        default:
          return;
      }
    },
  };
}

const NO_PROBLEM = { id: null, sinceMs: 0, retryAtMs: 0 };
const HEALED = 'the server, or what is known here, went back to an older state: both sides are merged, and nothing is deleted';

const SIGNS: Readonly<Record<PlanRow['kind'], string>> = {
  up: 'up',
  down: 'down',
  move: 'move',
  delete: 'delete',
  conflict: 'conflict',
  attributes: 'time/mode',
  compare: 'same',
};

export function planLine({ kind, side, path, to, entry, bytes }: PlanRow): string {
  const name = entry === 'folder' ? `${path}/` : path;
  const where = kind === 'delete' || kind === 'move' ? ` ${side === 'local' ? '(here)' : '(on the server)'}` : '';
  const size = (kind === 'up' || kind === 'down') && entry === 'file' ? `  ${formatBytes(bytes)}` : '';
  return `${SIGNS[kind].padEnd(9)} ${name}${to === null ? '' : ` -> ${to}`}${size}${where}`;
}

/** For example `3 up (1.2 MB), 1 down (4 B), 0 moves, 0 deletes, 1 conflict`. */
export function totalsText(totals: PlanTotals): string {
  return [
    `${grouped(totals.up)} up (${formatBytes(totals.bytesUp)})`,
    `${grouped(totals.down)} down (${formatBytes(totals.bytesDown)})`,
    countOf(totals.move, 'move'),
    countOf(totals.delete, 'delete'),
    countOf(totals.conflict, 'conflict'),
  ].join(', ');
}

export function firstContactText(local: string, remote: string, rows: Iterable<PlanRow>): string {
  return `first sync of ${local} with ${remote}: ${totalsText(planTotals(rows))}`;
}

const STATE_TEXT: Readonly<Record<StatusRow['state'], string>> = {
  in_sync: 'in sync',
  working: 'working',
  waiting: 'some entries cannot be synced now',
  held: 'held: it waits for your word',
  paused: 'paused',
  offline: 'offline, it goes on by itself',
  stopped: 'not running',
  failed: 'stopped by an error',
};

export function* statusLines(row: StatusRow): Generator<string> {
  yield `${row.local} <-> ${row.remote}: ${STATE_TEXT[row.state]}`;
  if (row.error !== null) yield `  ${row.error.message} (${row.error.code})`;
  const parts = [`${countOf(row.files, 'file')} in sync`];
  if (row.waiting > 0) parts.push(`${grouped(row.waiting)} waiting`);
  if (row.conflicts > 0) parts.push(`${countOf(row.conflicts, 'conflict')} (driftless conflicts)`);
  if (row.watching !== null) parts.push(`watching ${grouped(row.watching.watched)} of ${countOf(row.watching.of, 'folder')}`);
  if (row.rateUp > 0) parts.push(`sending ${formatRate(row.rateUp)}`);
  if (row.rateDown > 0) parts.push(`fetching ${formatRate(row.rateDown)}`);
  if (row.limitUp !== null) parts.push(`up at most ${formatRate(row.limitUp)}`);
  if (row.limitDown !== null) parts.push(`down at most ${formatRate(row.limitDown)}`);
  yield `  ${parts.join(', ')}`;
  for (const { meaning, next } of row.held) yield `  ${meaning} ${next}`;
  for (const { path, meaning, next } of row.problems) yield `  ${path === '' ? '.' : path}: ${meaning} ${next}`;
  const more = row.problemCount - row.problems.length;
  if (more > 0) yield `  and ${grouped(more)} more like these`;
}
