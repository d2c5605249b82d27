import type { NodeId } from './core/tree.ts';

/** What the server refused in one pass, by node. */
export type Refusals = {
  /** How often it had something newer than what an operation was based on. */
  readonly stale: Map<NodeId, number>;
  /**
   * Not allowed. It is asked for once in each pass, for a role may have changed: what was agreed on is made as it is on the server, what is new is
   * planned once more beside that; if it is refused again it leaves this set and waits.
   */
  readonly forbidden: Set<NodeId>;
};

export function noRefusals(): Refusals {
  return { stale: new Map(), forbidden: new Set() };
}
