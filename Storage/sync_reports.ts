import type { Principal } from './principal.ts';

/** What one sync index says of the folder it keeps; see `Models/rest_receipt.ts`. */
export type SyncReport = {
  readonly state: string; // 32 hex digits, as in SyncStates
  readonly counter: number; // the one it has shown last
  readonly mark: string; // 32 hex digits: another one for another report
  readonly root: number; // node of the remote folder
  /** All changes up to here are carried out on the device's disk, but for `missing`. */
  readonly cursor: string;
  /** Nodes that are not on the disk as they were at the cursor, each with all below it; `null`: nothing is said to be there. */
  readonly missing: readonly number[] | null;
  readonly waiting: number; // entries that differ
  readonly problems: number;
  readonly held: boolean;
};

/** A device that has a file as it is now. */
export type DevicePlace = { readonly deviceId: string; readonly atMs: number /* of the report that says so */ };
export type FilePlaces = { readonly path: string; readonly version: number; readonly devices: readonly DevicePlace[] };

export type ReportedRoot = {
  readonly state: string;
  readonly deviceId: string;
  readonly path: string | null; // where its folder is now; `null`: it is there no more
  readonly reportedAtMs: number;
  readonly seenAtMs: number; // that the index showed itself
  /** Changes below its folder that it had not carried out, counted up to 10,000; `null`: it knows another history than this one. */
  readonly behind: number | null;
  readonly waiting: number;
  readonly problems: number;
  readonly held: boolean;
};

/**
 * Which of a user's devices have what on their disk, by what they said themselves. A device counts for a file only while all of this holds: its last
 * report covers the file's version, and that of each folder above it, up to the one that the device keeps (but for a folder's time and mode); none
 * of them is said to be missing; and the report is the newest of its index, of the history that this database has, and not too old.
 * All methods throw AppError `storage_unavailable`, and where a path is given `path_invalid`, `name_invalid`.
 */
export type SyncReports = {
  /** Takes the place of what this index said before. Durable when it resolves. @returns false, with nothing changed: another copy of the index has counted further */
  take(principal: Principal, report: SyncReport): Promise<boolean>;
  /** In the order asked; `null` for what is no file that the caller can read. A device is named once, however many of its folders hold the file. */
  places(principal: Principal, paths: readonly string[]): Promise<(FilePlaces | null)[]>;
  /** The folders that the caller's devices keep; those heard of last come first. */
  roots(principal: Principal): Promise<ReportedRoot[]>;
};
