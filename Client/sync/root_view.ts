import { AppError, assertNever } from '../../Models/errors.ts';
import type { ConflictEntry, ExplainRow, StatusRow } from './control_messages.ts';
import type { Disk } from './disk.ts';
import { entryReason } from './entry_state.ts';
import { explain } from './explanations.ts';
import type { Held } from './guards.ts';
import { openIgnoreRules } from './ignore_rules.ts';
import type { RootSettings } from './roots.ts';
import { localPath, type NameForms } from './scan.ts';
import type { ConflictRow, SyncIndex } from './sync_index.ts';

/** What can be said of one root, whether a process syncs it now or not. */
export type RootView = {
  readonly settings: RootSettings;
  readonly index: SyncIndex;
  readonly names: NameForms;
  /** `null`: the folder cannot be looked at. */
  readonly disk: Pick<Disk, 'stat'> | null;
  readonly state: 'idle' | 'working' | 'paused' | 'offline' | 'stopped';
  readonly error: AppError | null; // while offline
  readonly held: readonly Held[];
  readonly watching: { readonly watched: number; readonly of: number } | null;
};

const PROBLEMS_SHOWN_MAX = 20;

export function statusRow(view: RootView): StatusRow {
  const { settings, index, error, held, watching } = view;
  const problems = index.problems().filter(({ reason }) => reason !== 'ignored' && reason !== 'excluded');
  const waiting = index.changed().length;
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ path, reason, detail }) => {
    return { path, reason, ...explain(reason, detailOf(detail)) };
  });
  return {
    local: settings.local,
    remote: settings.remote,
    state: stateOf(view, waiting + problems.length),
    error: error === null ? null : { code: error.code, message: error.message },
    held: held.map(heldRow),
    files: index.agreedFiles(),
    waiting,
    problems: shown,
    problemCount: problems.length,
    conflicts: index.conflicts().length,
    watching: watching === null ? null : { watched: watching.watched, of: watching.of },
    limitUp: settings.limitUp,
    limitDown: settings.limitDown,
  };
}

function stateOf({ state, held }: RootView, open: number): StatusRow['state'] {
  if (state === 'stopped' || state === 'paused' || state === 'offline') return state;
  if (held.length > 0) return 'held';
  if (state === 'working') return 'working';
  return open === 0 ? 'in_sync' : 'waiting';
}

const ROOT_SAID: Readonly<Record<(Held & { guard: 'root' })['why'], string>> = {
  missing: 'it is missing',
  not_a_folder: 'something else has its name',
  marker_missing: 'it is not the folder that was synced: .driftless/root.json is missing',
  marker_foreign: 'it is another synced folder',
  other_device: 'it is on another disk',
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

function detailOf(detail: string): { error?: string } {
  return detail === '' ? {} : { error: detail };
}

/** @param path within the synced folder. @throws AppError `not_found`: there is no such entry on either side */
export function explainRow(view: RootView, path: string): ExplainRow {
  const { settings, index, names, disk, held, state } = view;
  const rules = openIgnoreRules({ ignoreFile: index.setting('ignore_file') ?? null, excludes: settings.excludes });
  const kindOf = (at: string): ReturnType<Parameters<typeof entryReason>[0]['kindOf']> => disk?.stat(at)?.kind ?? null;
  const question = { index, rules, names, held, kindOf, paused: settings.paused || state === 'paused', offline: state === 'offline' };
  const found = entryReason(question, path);
  if (found === null) throw new AppError('not_found', `${path}: there is nothing of this name, neither here nor on the server`);
  const { meaning, next } = explain(found.reason, found.details);
  const stopped = state === 'stopped' && found.state === 'waiting' && found.reason === 'waiting_turn';
  return {
    path,
    state: found.state,
    reason: found.reason,
    meaning: stopped ? 'It is not the same on both sides, and no process syncs this folder now.' : meaning,
    next: stopped ? 'Start "driftless sync" for this folder, or have it run always with "driftless service install".' : next,
  };
}

/** Those whose copy is still there. */
export function conflictRows({ index, names }: Pick<RootView, 'index' | 'names'>): ConflictEntry[] {
  return index.conflicts().map((row) => ({
    path: row.path,
    copy: copyPathNow({ index, names }, row) ?? row.copyPath,
    kind: row.kind,
    baseVersion: row.baseVersion,
    at: new Date(row.atMs).toISOString(),
  }));
}

/** Where the copy is now; a person may have moved it. `null`: it is gone. */
export function copyPathNow({ index, names }: Pick<RootView, 'index' | 'names'>, { copy }: Pick<ConflictRow, 'copy'>): string | null {
  return index.local.get(copy) === undefined ? null : localPath(index, names, copy);
}
