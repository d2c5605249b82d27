import type { EntryKind } from '../../../Models/operations.ts';

/** A file, folder or symlink within one synced root. The same id in two trees is the same one, whatever it is called and wherever it is. */
export type NodeId = number;

/** The synced folder itself: in every tree, never changed, its own parent. */
export const ROOT: NodeId = 1;

export type NodeKind = EntryKind;

export type TreeNode = {
  readonly id: NodeId;
  readonly parent: NodeId;
  readonly name: string; // as the server has it
  readonly kind: NodeKind; // a file may become a symlink; between a folder and a leaf it is another node
  /**
   * What two leaves are compared by: the content id of a file in hex, the target of a symlink, '' for a folder. `null`: a local file that
   * was not read yet; it equals nothing, itself included.
   */
  readonly content: string | null;
  /** Carried along, never a reason for a conflict. */
  readonly mode: number; // permission bits
  readonly mtimeUs: number; // microseconds since 1970
};

/** One replica's state, or the state both last agreed on. `ROOT` is in each; every other node's parent is in the same tree, and is a folder. */
export type Tree = {
  get(id: NodeId): TreeNode | undefined;
  children(parent: NodeId): Iterable<TreeNode>;
  /** Children whose folded name (Models/names.ts `foldName`) is `key`. On the server at most one, locally perhaps several. */
  named(parent: NodeId, key: string): Iterable<TreeNode>;
};
