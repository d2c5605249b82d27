import { AppError, assertNever } from '../../../Models/errors.ts';
import type { Held } from '../guards.ts';
import type { ConflictRow, Problem } from '../index/sync_index.ts';
import type { ConflictEntry, ExplainRow, StatusRow } from './control_messages.ts';
import type { EntryReason } from './entry_state.ts';
import { explain } from './explanations.ts';

/** What is known of one root, as a process that syncs it has it, or as it was left. */
export type RootFacts = {
  readonly local: string;
  readonly remote: string;
  readonly state: 'new' | 'idle' | 'working' | 'held' | 'paused' | 'offline' | 'closed' | 'ended';
  readonly error: AppError | null;
  readonly held: readonly Held[];
  readonly files: number;
  readonly waiting: number;
  readonly conflicts: number;
  readonly watching: { readonly watched: number; readonly of: number } | null;
  readonly limitUp: number | null;
  readonly limitDown: number | null;
  readonly rateUp: number;
  readonly rateDown: number;
};

const PROBLEMS_SHOWN_MAX = 20;

/** Left out on purpose, or nothing that could be synced: not worth a word unless it is asked for. */
const EXPECTED: ReadonlySet<Problem['reason']> = new Set(['ignored', 'excluded', 'special_file']);

/** What a person should know of, or do something about. */
export function realProblems(problems: readonly Problem[]): readonly Problem[] {
  return problems.filter(({ reason }) => !EXPECTED.has(reason));
}

export function statusRow(facts: RootFacts, all: readonly Problem[]): StatusRow {
  const problems = realProblems(all);
  const { state, error, held, watching, ...rest } = facts;
  return {
    ...rest,
    state: shownState(facts, facts.waiting + problems.length),
    error: error === null ? null : { code: error.code, message: error.message },
    held: held.map(heldRow),
    problems: problems.slice(0, PROBLEMS_SHOWN_MAX).map(problemRow),
    problemCount: problems.length,
    watching: watching === null ? null : { watched: watching.watched, of: watching.of },
  };
}

function shownState({ state, held }: RootFacts, open: number): StatusRow['state'] {
  switch (state) {
    case 'closed':
      return 'stopped';
    case 'ended':
      return 'failed';
    case 'paused':
    case 'offline':
      return state;
    case 'held':
      return 'held';
    case 'new':
    case 'working':
      return held.length > 0 ? 'held' : 'working';
    case 'idle':
      if (held.length > 0) return 'held';
      return open === 0 ? 'in_sync' : 'waiting';
    default:
      return assertNever(state);
  }
}

const ROOT_SAID: Readonly<Record<(Held & { guard: 'root' })['why'], string>> = {
  missing: 'it is missing',
  not_a_folder: 'something else has its name',
  marker_missing: 'it is not the folder that was synced: .driftless/root.json is missing',
  marker_foreign: 'it is another synced folder',
  other_device: 'it is on another disk',
  remote_missing: 'the remote folder is gone; to approve is to make it anew with what is here',
  emptied: 'it is empty',
};

/** A guard that stopped, in words. */
export function heldRow(held: Held): StatusRow['held'][number] {
  switch (held.guard) {
    case 'root':
      return { reason: 'held_root', ...explain('held_root', { error: ROOT_SAID[held.why] }) };
    case 'deletes':
      return { reason: 'held_deletes', ...explain('held_deletes', { count: held.files, of: held.of }) };
    default:
      return assertNever(held);
  }
}

export function problemRow({ path, reason, detail }: Pick<Problem, 'path' | 'reason' | 'detail'>): StatusRow['problems'][number] {
  return { path, reason, ...explain(reason, detail === '' ? {} : { error: detail }) };
}

/**
 * @param running a process syncs it now: who waits need do nothing
 * @throws AppError `not_found` for `null`
 */
export function explainRow(path: string, found: EntryReason | null, running: boolean): ExplainRow {
  if (found === null) throw new AppError('not_found', `${path}: there is nothing of this name, neither here nor on the server`);
  const { state, reason, details, node } = found;
  if (running || reason !== 'waiting_turn') return { path, state, reason, ...explain(reason, details), node };
  return {
    ...{ path, state, reason, node },
    meaning: 'It was not the same on both sides when that was last looked at, and no process syncs this folder now.',
    next: 'Start "driftless sync" for this folder, or have it run always with "driftless service install".',
  };
}

export function conflictEntry({ path, copyPath, kind, baseVersion, atMs }: ConflictRow): ConflictEntry {
  return { path, copy: copyPath, kind, baseVersion, at: new Date(atMs).toISOString() };
}
