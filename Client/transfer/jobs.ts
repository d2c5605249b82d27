import type { ErrorCode } from '../../Models/errors.ts';

/** What was moved so far. Totals are known once everything has been looked at. */
export type Progress = {
  readonly filesDone: number;
  readonly filesTotal: number | null;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly bytesPerSecond: number;
};

/** A file that could not be moved; the others were. `path` is the local one of a put, the remote one of a get. */
export type TransferFailure = { readonly path: string; readonly code: ErrorCode; readonly message: string };

export type TransferReport = {
  readonly files: number; // moved
  readonly bytes: number; // content of the files that were moved, whether or not it had to be sent
  readonly unchanged: number; // already the same on both sides
  readonly failures: readonly TransferFailure[];
};

/** What may be over when it is tried again. */
export const PASSING = [
  'server_unreachable',
  'upload_interrupted',
  'busy',
  'too_many_requests',
  'storage_unavailable',
  'ticket_expired',
] as const satisfies readonly ErrorCode[];

/** A pair of paths to make equal. */
export type Job = {
  readonly kind: 'folder' | 'file';
  readonly local: string;
  readonly remote: string;
  /** The target of a folder is known not to exist, so there is nothing to compare with. */
  readonly fresh: boolean;
  /** The local path that the whole transfer began with. */
  readonly root: string;
};

export type Direction = 'put' | 'get';

/** What happened since the last report, added up by the coordinator. */
export type Counts = {
  filesFound: number;
  bytesFound: number;
  filesDone: number;
  bytesDone: number;
  filesMoved: number;
  bytesMoved: number;
  unchanged: number;
};

export function noCounts(): Counts {
  return { filesFound: 0, bytesFound: 0, filesDone: 0, bytesDone: 0, filesMoved: 0, bytesMoved: 0, unchanged: 0 };
}

/** Called for every file: nothing is made for it. */
export function addCounts(counts: Counts, more: Partial<Counts>): void {
  for (const name in more) counts[name as keyof Counts] += more[name as keyof Counts] ?? 0;
}

/** Does jobs in one direction. A coordinator gives each shard jobs, and the jobs it finds below them to whichever shard is free. */
export interface Shard {
  /** Looks at these jobs and starts moving what differs. @returns the jobs found below them */
  run(jobs: readonly Job[]): Promise<Job[]>;
  /** Everything given is moved, durable on the server in a put, or reported as a failure. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

export type ShardEvents = {
  count(more: Partial<Counts>): void;
  fail(failure: TransferFailure): void;
};
