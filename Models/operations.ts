/**
 * What a client asks the server to change, and what became of it. The wire form is in operation_frames.ts, the REST form in rest.ts.
 * Every path may be anchored (names.ts); then only `mkdir` makes folders that are missing on the way, below the anchor.
 */
import type { ErrorCode } from './errors.ts';

/** The version the change is based on: that version, nothing there, or whatever is there. */
export type Base = number | 'absent' | 'any';

/** Permission bits that something has which came without any, and the most there can be. Set-id and sticky bits are never carried. */
export const MODE = { file: 0o644, executable: 0o755, folder: 0o755, symlink: 0o777, max: 0o777 } as const;

export type ChunkRef = { readonly digest: Uint8Array; readonly length: number };

export type Operation =
  | {
      readonly kind: 'put';
      readonly path: string;
      readonly size: number; // bytes
      readonly mtimeUs: number; // microseconds since 1970, carried, never used for order
      readonly mode: number; // permission bits: the low nine of a mode
      readonly base: Base;
      /** Content id, see Models/content_id.ts. */
      readonly digest: Uint8Array;
      /** In file order; lengths add up to `size`; an empty file has none. */
      readonly chunks: readonly ChunkRef[];
    }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string; readonly mtimeUs: number; readonly base: Base }
  | {
      readonly kind: 'mkdir';
      readonly path: string;
      readonly existingOk: boolean;
      /** What the folder gets, also one that exists; `null` leaves it, and a new folder gets 0o755 and the time of now. */
      readonly mode: number | null;
      readonly mtimeUs: number | null;
    }
  | { readonly kind: 'move'; readonly from: string; readonly to: string; readonly base: Base /* of what is moved */ }
  | { readonly kind: 'copy'; readonly from: string; readonly to: string }
  /** `onlyEmpty`: not a folder that has something in it. */
  | { readonly kind: 'delete'; readonly path: string; readonly base: Base; readonly onlyEmpty: boolean };

/** `put`, `symlink` and `mkdir` make the folders above them where they are missing. */
export type OperationResult =
  | { readonly status: 'done' | 'unchanged'; readonly nodeId: number; readonly version: number }
  | { readonly status: 'refused'; readonly code: ErrorCode; readonly message: string };

export type Role = 'viewer' | 'editor' | 'owner';

export type EntryKind = 'file' | 'folder' | 'symlink';

/** One thing at a path, as listings show it. */
export type Entry = {
  readonly path: string;
  readonly name: string;
  readonly kind: EntryKind;
  readonly nodeId: number;
  readonly size: number; // bytes; 0 for a folder
  readonly mtimeUs: number;
  readonly version: number; // journal number of the entry's newest version, within its space
  readonly digest: Uint8Array | null; // content id; null for a folder
  readonly mode: number; // permission bits; of a symlink always 0o777
  readonly chunkCount: number;
  readonly target: string | null; // of a symlink
  /** Set on the top folder of a space that is not the caller's home: what the caller may do there. */
  readonly shared: { readonly role: Role; readonly owner: string } | null;
};
