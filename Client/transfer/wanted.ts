import type { TreeEntry } from '../../Models/tree_frames.ts';
import type { Staging } from './staging.ts';

/** One file whose content is wanted. */
export type Wanted = {
  /** Where it may be written first; `null`: beside its place. */
  readonly staging: Staging | null;
  readonly local: string;
  readonly remote: string;
  readonly entry: TreeEntry & { readonly digest: Uint8Array };
};
