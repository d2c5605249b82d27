import type { TreeNode } from '../core/tree.ts';
import type { DiskStat } from '../disk/disk.ts';

/** The local file in the state in which its content was read or written: the same numbers mean the same content. */
export type SeenStat = Pick<DiskStat, 'ino' | 'birthMs' | 'size' | 'mtimeMs' | 'ctimeMs' | 'mode'> & {
  /** Changed so shortly before it was looked at that a later change may have left the same numbers. */
  readonly racy: boolean;
};
export type LocalNode = TreeNode & { readonly seen: SeenStat };
export type ServerNode = TreeNode & {
  readonly node: number; // on the server
  readonly version: number;
  readonly size: number; // bytes
  readonly chunkCount: number;
};
export type AgreedNode = LocalNode & ServerNode;

/** The local side of a node, and nothing else of it. */
export function localPart({ id, parent, name, kind, content, mode, mtimeUs, seen }: LocalNode): LocalNode {
  return { id, parent, name, kind, content, mode, mtimeUs, seen };
}

export function serverPart({ id, parent, name, kind, content, mode, mtimeUs, node, version, size, chunkCount }: ServerNode): ServerNode {
  return { id, parent, name, kind, content, mode, mtimeUs, node, version, size, chunkCount };
}

/** Place, kind and content: what decides whether two sides have the same. */
export function sameNode(one: TreeNode, other: TreeNode): boolean {
  return (
    one.parent === other.parent &&
    one.name === other.name &&
    one.kind === other.kind &&
    one.content !== null &&
    one.content === other.content
  );
}

export function sameAttributes(one: TreeNode, other: TreeNode): boolean {
  return one.mode === other.mode && one.mtimeUs === other.mtimeUs;
}

export function sameSeen(one: SeenStat, other: SeenStat): boolean {
  return (
    one.ino === other.ino &&
    one.birthMs === other.birthMs &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs &&
    one.ctimeMs === other.ctimeMs &&
    one.mode === other.mode &&
    one.racy === other.racy
  );
}
