import { type NodeId, ROOT } from './tree.ts';
import type { Trees } from './trees.ts';

/**
 * Whether a node is frozen, or below something frozen on either side: nothing may be done to it now.
 * @param seed whether this very node is
 */
export function frozenNodes(trees: Trees, seed: (id: NodeId) => boolean): (id: NodeId) => boolean {
  const free = new Set<NodeId>([ROOT]); // and so is all above them

  // upwards on both sides at once: seen from both, the folders above need not be a tree
  function search(start: NodeId): boolean {
    const seen = new Set([start]);
    for (const id of seen) {
      if (free.has(id)) continue;
      if (seed(id)) return true;
      for (const node of [trees.local.get(id), trees.remote.get(id)]) if (node !== undefined) seen.add(node.parent);
    }
    seen.delete(start); // who asks remembers the answer for it
    for (const id of seen) free.add(id);
    return false;
  }

  return search;
}
