import type { NodeId, Tree } from './tree.ts';

export type Side = 'local' | 'remote';

/**
 * One step. On `side`, with the other side as the source of what is carried over.
 *
 * adopt     what is only local as `local` and only remote as `id` is one and the same: from now on it is `id` locally too, and so it is
 *           for what is in it. All of a plan that speaks of `id` follows, and means what was `local`: whoever cannot do this must not do that.
 * hash      the local content must be known before anything can be decided about this node
 * record    both sides are the same: that is what they now agree on; nothing there on both sides: it is forgotten
 * forget    it was deleted on one side together with a folder that the other side moved: nothing is agreed about it any more, so that it is new
 *           where it is. Whoever cannot do this must not do what comes after it either.
 * make      a new folder; mode and mtime of the other side
 * put       a new leaf at `parent`/`name`, with content, mode and mtime of the other side
 * replace   the content of a leaf that is there; mode and mtime with it
 * touch     mode and mtime only
 * move      to `parent`/`name`
 * delete    a leaf, or a folder that is empty by then. Never recursive.
 * set_aside (local) content that was edited on both sides: the local file gets the name `name` in its own folder and is a new node
 *           from then on; the node itself has no local file after that
 */
export type Action =
  | { readonly type: 'adopt'; readonly id: NodeId; readonly local: NodeId }
  | { readonly type: 'hash' | 'record' | 'forget'; readonly id: NodeId }
  | { readonly type: 'make' | 'put' | 'move'; readonly side: Side; readonly id: NodeId; readonly parent: NodeId; readonly name: string }
  | { readonly type: 'replace' | 'touch' | 'delete'; readonly side: Side; readonly id: NodeId }
  | { readonly type: 'set_aside'; readonly id: NodeId; readonly name: string };

/** What a person is told of, and can decide again. The copy is an ordinary file and is synced like one. */
export type Conflict = {
  readonly id: NodeId;
  /** `not_allowed`: edited only here, and the server did not take it. */
  readonly kind: 'edited_twice' | 'created_twice' | 'name_taken' | 'not_allowed';
  readonly parent: NodeId; // where the copy is
  readonly copyName: string;
};

/** Something that stays as it is on both sides until a person or a later change resolves it. */
export type Stuck = { readonly id: NodeId; readonly reason: 'name_collides' };

export type Plan = {
  /** In the order in which they must run. Those of one step do not depend on each other: they may run in any order, or together. */
  readonly steps: readonly (readonly Action[])[];
  readonly conflicts: readonly Conflict[];
  readonly stuck: readonly Stuck[];
};

export type PlanInput = {
  /** Only asked for single nodes. A node may be in it before its folder is: what was agreed is recorded in any order. */
  readonly ancestor: Pick<Tree, 'get'>;
  readonly local: Tree;
  readonly remote: Tree;
  /** Every node in which two of the trees differ; others may be in it. */
  readonly changed: Iterable<NodeId>;
  /** Not to be touched on either side now, nor anything below it: unreadable, still being written, waiting after an error. */
  readonly held: (id: NodeId) => boolean;
  /** The server did not allow what was to be done to it there: what was changed here is undone, and content that was edited is set aside. */
  readonly refused: (id: NodeId) => boolean;
  /** Named in conflict copies. */
  readonly device: string;
  /** The local file system takes names that fold together for the same. */
  readonly localFolds: boolean;
};
