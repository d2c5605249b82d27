import type { EntryKind } from '../Models/operations.ts';
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
};
