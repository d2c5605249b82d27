import type { Stats } from 'node:fs';
import type { TreeEntry } from '../../Models/tree_frames.ts';

/**
 * One thing to put, kept until the server answered so that it can be sent again. `entry` is what it replaces; `guessed` when that is what
 * was there last time and nobody asked whether it still is.
 */
export type PutTask =
  | { readonly kind: 'folder'; readonly local: string; readonly remote: string }
  | {
      readonly kind: 'entry';
      readonly local: string;
      readonly remote: string;
      readonly entry: TreeEntry | null;
      readonly stats: Stats;
      readonly guessed: boolean;
      sent?: SentFile;
    };

export type EntryTask = Extract<PutTask, { kind: 'entry' }>;

/** What a large file was sent as; remembered once the server has it. */
export type SentFile = { readonly digest: Uint8Array; readonly chunks: readonly { digest: Uint8Array; length: number }[] };
