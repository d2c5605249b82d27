import type { TreeEntry } from '../../Models/tree_frames.ts';

/** One file whose content is wanted. */
export type Wanted = { readonly local: string; readonly remote: string; readonly entry: TreeEntry & { readonly digest: Uint8Array } };
