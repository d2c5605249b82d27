import { unparkedName } from './names.ts';
import { type NodeId, ROOT, type TreeNode } from './tree.ts';
import { isFolder, type Place, samePlace, type Trees } from './trees.ts';

/** Where each node belongs, by what both sides did to its place. A folder and name are one thing here: they move together. */
export type Places = {
  /** @returns ROOT's own place for a node that is nowhere */
  of(id: NodeId): Place;
  /** It was moved or renamed on this side; not by being parked. */
  moved(node: TreeNode): boolean;
};

/**
 * Moved on one side: there. Moved on both: where the remote has it. A move that would put a folder into itself, together with those of the other side,
 * is taken back when it was local.
 */
export function mergePlaces(trees: Trees, candidates: Iterable<NodeId>): Places {
  const reverted = new Set<NodeId>();
  const rooted = new Set<NodeId>([ROOT]);

  function intended(node: TreeNode): Place {
    if (trees.ancestor.get(node.id)?.name === node.name) return node;
    const name = unparkedName(node.id, node.name);
    return name === node.name ? node : { parent: node.parent, name };
  }

  function moved(node: TreeNode): boolean {
    const agreed = trees.ancestor.get(node.id);
    return agreed !== undefined && !samePlace(intended(node), agreed);
  }

  function of(id: NodeId): Place {
    const local = trees.local.get(id);
    const remote = trees.remote.get(id);
    if (local === undefined || remote === undefined) {
      const only = local ?? remote;
      return only === undefined ? { parent: ROOT, name: '' } : intended(only);
    }
    const agreed = trees.ancestor.get(id);
    const localWins = !reverted.has(id) && agreed !== undefined && samePlace(intended(remote), agreed);
    return intended(localWins ? local : remote);
  }

  for (const id of candidates) {
    const local = trees.local.get(id);
    // every cycle has a folder in it that was moved locally: the remote tree alone has none
    if (local !== undefined && isFolder(local) && trees.remote.get(id) !== undefined && moved(local)) takeBackCycles(id);
  }
  return { of, moved };

  function takeBackCycles(id: NodeId): void {
    for (let cycle = cycleAbove(id, of, rooted); cycle.some(isLocalMove); cycle = cycleAbove(id, of, rooted)) {
      for (const one of cycle.filter(isLocalMove)) reverted.add(one);
    }
  }

  function isLocalMove(id: NodeId): boolean {
    const remote = trees.remote.get(id);
    return remote !== undefined && trees.local.get(id) !== undefined && !samePlace(of(id), intended(remote));
  }
}

/** The nodes of the cycle that the way up ends in; none when it ends at the root. @param rooted known to end there; what is found is added */
function cycleAbove(start: NodeId, placeOf: (id: NodeId) => Place, rooted: Set<NodeId>): readonly NodeId[] {
  const way = new Set<NodeId>();
  let at = start;
  for (; !rooted.has(at) && !way.has(at); at = placeOf(at).parent) way.add(at);
  if (rooted.has(at)) {
    for (const id of way) rooted.add(id);
    return [];
  }
  const order = [...way];
  return order.slice(order.indexOf(at));
}
