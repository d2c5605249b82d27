import { type NodeId, ROOT } from './tree.ts';
import type { Trees } from './trees.ts';

/**
 * Whether a node is frozen, or below something frozen on either side: nothing may be done to it now.
 * @param seed whether this very node is
 */
export function frozenNodes(trees: Trees, seed: (id: NodeId) => boolean): (id: NodeId) => boolean {
  const known = new Map<NodeId, boolean>([[ROOT, false]]);

  // upwards on both sides at once: seen from both, the folders above need not be a tree
  function search(start: NodeId): boolean {
    const seen = new Set([start]);
    for (const id of seen) {
      if (known.get(id) === false) continue;
      if (known.get(id) === true || seed(id)) return true;
      for (const node of [trees.local.get(id), trees.remote.get(id)]) if (node !== undefined) seen.add(node.parent);
    }
    for (const id of seen) known.set(id, false);
    return false;
  }

  return (id) => {
    const before = known.get(id);
    if (before !== undefined) return before;
    const found = search(id);
    known.set(id, found);
    return found;
  };
}
