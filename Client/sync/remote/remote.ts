import type { ArrivingFile } from '../../../Models/events.ts';
import type { Base, ChunkRef, EntryKind, Operation, OperationResult } from '../../../Models/operations.ts';
import type { DiskFile, DiskStat } from '../disk/disk.ts';

/** A node as the server has it now. */
export type RemoteNode = {
  readonly nodeId: number;
  readonly parentId: number;
  readonly name: string;
  readonly kind: EntryKind;
  readonly size: number; // bytes
  readonly mtimeUs: number;
  readonly mode: number; // permission bits
  readonly version: number;
  readonly digest: Buffer | null; // content id of a file
  readonly chunkCount: number;
  readonly target: string | null; // of a symlink
  /** A folder whose content is not part of this feed (it was moved, copied, shared or restored to here): list it by itself. */
  readonly unlisted: boolean;
};

/** One page of what changed. A node is in it at most as often as it pleases; the last one counts. */
export type FeedPage = { readonly present: readonly RemoteNode[]; readonly gone: readonly number[] };
export type FeedEnd = {
  readonly cursor: string;
  readonly rootId: number; // node of the synced remote folder
};

/** What goes to the server. Paths are anchored (Models/names.ts): they begin at a node, so that no rename elsewhere can mislead them. */
export type PushItem =
  | { readonly key: number; readonly operation: Exclude<Operation, { kind: 'put' }> }
  | { readonly key: number; readonly upload: Upload };

export type Upload = {
  readonly path: string; // anchored
  readonly base: Base;
  /** As it was when the decision was made: another state now is `file_changed`. */
  readonly expected: DiskStat;
  readonly open: () => DiskFile;
  /** Permission bits; as the file has them where the file system keeps them. */
  readonly mode?: number;
  /** The version this replaces, if the server has it: what is in it is not sent again, and what changed goes as a delta. */
  readonly previous: { readonly nodeId: number; readonly version: number; readonly chunkCount: number; readonly digest: Buffer } | null;
  /** Told what is about to be sent: from then on it may be on the server, also when no answer comes. */
  readonly onSend?: (snapshot: Snapshot) => void;
  /** The content is known to be on the server (a copy or a move of something synced): tried without bytes first. */
  readonly known: (digest: Buffer) => boolean;
};

/** The state that was read and sent: stat before was stat after. */
export type Snapshot = { readonly stat: DiskStat; readonly digest: Buffer; readonly size: number; readonly chunkCount: number };

/** Refused with `file_changed`: the file is not the expected one, or is gone; with `local_io`: it cannot be read. Nothing was done then. */
export type PushOutcome = { readonly result: OperationResult; readonly snapshot: Snapshot | null };

/** Its content in slices of received buffers. */
export type ArrivedChunk = ChunkRef & { readonly content: readonly Uint8Array[] };

/** The beginning of a file: so many chunks are in it, checked. */
export type EarlyFile = { readonly file: DiskFile; readonly chunks: number };

export type FetchItem = {
  readonly key: number;
  readonly node: {
    readonly nodeId: number;
    readonly version: number;
    readonly size: number;
    readonly chunkCount: number;
    readonly digest: Buffer;
  };
  /** A new file to write into; called when its content comes. The caller gives it its name afterwards. */
  readonly create: () => DiskFile;
  /** What came ahead of a long file that has these chunks, in the place of `create`; `null`: nothing. */
  readonly early?: (chunks: readonly ChunkRef[]) => Promise<EarlyFile | null>;
  /** An older version of the same file that is on this disk: only what differs is fetched. */
  readonly previous: { readonly version: number; readonly open: () => DiskFile } | null;
};

/**
 * `failure.code`: the system's own (`ENOSPC`, …) for what the disk refused; `version_stale`, `not_found`: the server has another version by now, or none;
 * `chunk_missing`, `digest_mismatch`, `corrupt`: the content cannot be had whole.
 * `file` is still open, its content checked and whole, not yet synced; whoever is told closes it.
 */
export type FetchOutcome = { readonly file: DiskFile } | { readonly failure: { readonly code: string; readonly message: string } };

/**
 * The server, as the sync engine sees it. All methods throw AppError for what ends all of it (`server_unreachable`, `ticket_revoked`, `storage_full`, …);
 * what concerns one item is its outcome.
 */
export type Remote = {
  /**
   * What changed in the remote folder since `cursor`, or with `null` all of it, parents before what is in them.
   * `root`: a path, or a node as `@ID`. Pages are handed over as they come; nothing may be concluded before the end has come.
   * @throws AppError `cursor_invalid`: the server was restored since, or went back; `not_found`: there is no such folder
   */
  changes(root: string, cursor: string | null, onPage: (page: FeedPage) => void): Promise<FeedEnd>;
  /**
   * In this order, in one stream, each answered once; safe to repeat. Fails as a whole only after what was answered was handed over.
   * @param cursor up to where changes are known
   * @returns the cursor past what was done here, as the next `changes` would end with it, if there is nothing else behind `cursor`
   */
  push(items: Iterable<PushItem>, onDone: (key: number, outcome: PushOutcome) => void, cursor?: string | null): Promise<string | null>;
  fetch(items: Iterable<FetchItem>, onDone: (key: number, outcome: FetchOutcome) => void): Promise<void>;
  /**
   * Calls back when something may have changed there; a lost connection is not told.
   * @param onArriving another device of this user is sending a long new file; nothing follows from it when it is not heard
   * @returns ends it
   */
  watch(onHint: () => void, onArriving?: (file: ArrivingFile) => void): () => void;
  /**
   * The chunks of a file that is being sent, checked against the digests that they bear, as they come; in their order, as far as all of them came from there. Each is valid until the next one is asked for.
   * @throws AppError `not_found`: it is not being sent any more
   */
  arriving(id: string, signal: AbortSignal): AsyncIterable<ArrivedChunk>;
  close(): Promise<void>;
};
