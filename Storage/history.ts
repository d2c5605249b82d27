import type { EntryKind } from '../Models/operations.ts';
import type { Obstacle, Step } from './going_back.ts';
import type { ChangeKind, Manifest, Principal } from './metadata.ts';

/** Who made a row of the journal. */
export type Act = {
  readonly user: string; // name
  readonly device: string;
  /** Names all that was done in one go: 32 hex digits of the stream of operations, or the decimal number of a commit without one. */
  readonly operation: string;
  readonly reason: 'rewind' | 'undo' | null;
  readonly atMs: number;
};

/** What a file or symlink was from one row of the journal on. */
export type Version = Act & {
  readonly version: number;
  readonly kind: EntryKind;
  readonly path: string; // as of then
  readonly size: number; // bytes
  readonly mtimeUs: number;
  readonly mode: number;
  readonly digest: Buffer;
  readonly target: string | null;
  readonly pinned: boolean;
  readonly current: boolean;
};

/** One thing that happened to a node. */
export type Deed = Act & {
  readonly version: number;
  readonly kind: ChangeKind;
  readonly path: string;
  readonly fromPath: string | null;
};

export type TrashItem = Act & {
  readonly nodeId: number;
  readonly path: string; // where it was
  readonly kind: EntryKind;
  readonly size: number; // bytes; 0 for a folder
};

/** `next` is the `after` of the page behind; null where there is none. */
export type HistoryPage<Row> = { readonly rows: readonly Row[]; readonly next: string | null };
export type HistoryQuery = { readonly path: string; readonly after: string | null; readonly limit: number };

/** What to go back from. A cursor or time is a position: what happened behind it is taken back. */
export type BackRequest =
  /** A folder becomes what it was, except for its own place. What is shared below it is left alone. */
  | { readonly kind: 'rewind'; readonly path: string; readonly to: { readonly timeMs: number } | { readonly cursor: string } }
  /** All that one operation did, see Act. */
  | { readonly kind: 'undo'; readonly operation: string }
  /** All that a device of a user did behind a time. */
  | { readonly kind: 'undo'; readonly user: string; readonly device: string; readonly sinceMs: number };

/** One thing that would be done. */
export type BackStep = {
  readonly kind: Step['kind'];
  readonly path: string;
  readonly fromPath: string | null;
  readonly entryKind: EntryKind;
  readonly size: number; // bytes, of the content it has then
};
/** What would not be done, and why. */
export type BackConflict = {
  readonly path: string;
  readonly reason: Obstacle | 'changed_since' | 'thinned' | 'shared' | 'forbidden' | 'unknown';
  /** Of `changed_since`: who. */
  readonly by: Act | null;
};
export type BackCounts = Readonly<Record<Step['kind'], number>>;
export type BackPlan = {
  /** Names exactly these steps: 64 hex digits. */
  readonly digest: string;
  readonly counts: BackCounts;
  readonly steps: readonly BackStep[];
  readonly conflicts: readonly BackConflict[];
};

/** How long what is replaced is kept: every version up to `allMs` old, then the last of each day, and behind `dailyMs` the last of each week. */
export type KeepPolicy = { readonly allMs: number; readonly dailyMs: number };

/**
 * The past, read from the journal. The newest comes first. Every path is the caller's own. What happened in a shared folder before the
 * caller joined is not told, except to its owner; a version that was thinned does not exist any more.
 * All methods throw AppError; `not_found`, `path_invalid`, `name_invalid` wherever a path is given, `cursor_invalid` wherever `after` is.
 * Contract: Storage/testing/history_contract.ts, run on SQLite and on PostgreSQL.
 */
export type History = {
  /** The contents that a file or symlink has had. @throws `not_a_file` */
  versions(principal: Principal, query: HistoryQuery): Promise<HistoryPage<Version>>;
  /** One of them with its chunks, none for a symlink. @throws `not_found` also for a version that it is not, or no longer, `not_a_file` */
  version(principal: Principal, path: string, version: number): Promise<Version & Pick<Manifest, 'chunks'>>;
  /** What was done to it, also to what is gone: then its deletion comes first, or that of the folder it went with. */
  deeds(principal: Principal, query: HistoryQuery): Promise<HistoryPage<Deed>>;
  /** What was deleted below the path, space by space. */
  trash(principal: Principal, query: HistoryQuery): Promise<HistoryPage<TrashItem>>;
  /**
   * Brings back what was deleted, with all that was in it. @param what `@ID` of a TrashItem, or the path of the last that was deleted there
   * @param to `null`: where it was
   * @throws `not_found` (also: the folder it was in is gone), `already_exists`, `name_collides`, `not_a_folder`, `forbidden`
   */
  undelete(principal: Principal, what: string, to: string | null): Promise<{ path: string; version: number }>;

  /** Keeps a version for ever, whatever the policy is. @throws `not_found`, `not_a_file`, `forbidden` */
  pin(principal: Principal, path: string, version: number): Promise<void>;
  /** From now on it goes as others do. @throws as `pin` */
  unpin(principal: Principal, path: string, version: number): Promise<void>;
  /** Gives up the contents of versions that the policy does not keep; the newest, and what was deleted last, always stays. @returns how many */
  thin(policy: KeepPolicy): Promise<number>;

  /**
   * What going back would do. What others changed since on the same things is not taken back, but a conflict.
   * @throws `not_found` (also: before the beginning of what the caller is told, the folder was not there then, no such operation), `not_a_folder`,
   * `forbidden`, `cursor_invalid`, `too_large` (more than LIMITS.backNodesMax things changed since)
   */
  preview(principal: Principal, request: BackRequest): Promise<BackPlan>;
  /**
   * What was previewed, for whoever takes it page by page: as it was then if it is kept (Storage/kept_plans.ts), else made anew.
   * @throws as `preview`; `version_stale` when it was made anew, and is something else by now
   */
  previewed(principal: Principal, request: BackRequest, digest: string): Promise<BackPlan>;
  /**
   * Does exactly what was previewed, in one transaction: all of it or nothing.
   * @throws as `preview`; `version_stale` when it would be something else by now, `path_invalid` when something would become too deep
   */
  goBack(principal: Principal, request: BackRequest, digest: string): Promise<{ operation: string; counts: BackCounts }>;
};
