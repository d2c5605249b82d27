import type { Side } from './actions.ts';
import type { Places } from './places.ts';
import { type NodeId, ROOT, type TreeNode } from './tree.ts';
import { isFolder, sameAttributes, sameContent, type Trees } from './trees.ts';

/** From which side something is taken over; `null`: it is the same on both. */
export type Source = Side | null;

/**
 * What becomes of a node.
 * still  nothing is done to it now, wherever it is
 * gone   it is on neither side
 * dies   it is deleted on `side`, the only one that has it
 * lives  on both sides, once all is done. `twice`: its content was edited on both, the local version becomes a copy
 */
export type Fate =
  | { readonly type: 'still' | 'gone' }
  | { readonly type: 'dies'; readonly side: Side }
  | { readonly type: 'lives'; readonly content: Source | 'twice'; readonly attributes: Source };

const STILL: Fate = { type: 'still' };
const GONE: Fate = { type: 'gone' };
const DIES = { local: { type: 'dies', side: 'local' }, remote: { type: 'dies', side: 'remote' } } as const satisfies Record<Side, Fate>;

export type Fates = (id: NodeId) => Fate;

/**
 * @param isFrozen nothing may be done to it now
 * @param needHash told of each node whose local content must be read before its fate is known
 */
export function decideFates(
  trees: Trees,
  { places, isFrozen, needHash }: { places: Places; isFrozen: (id: NodeId) => boolean; needHash: (id: NodeId) => void },
): Fates {
  const known = new Map<NodeId, Fate>();

  function fate(id: NodeId): Fate {
    let found = known.get(id);
    if (found === undefined) {
      found = isFrozen(id) ? STILL : decide(id);
      known.set(id, found);
    }
    return found;
  }

  function decide(id: NodeId): Fate {
    const local = trees.local.get(id);
    const remote = trees.remote.get(id);
    if (local !== undefined && remote !== undefined) return onBoth(local, remote, trees.ancestor.get(id));
    if (local !== undefined) return onOne(local, 'local');
    return remote === undefined ? GONE : onOne(remote, 'remote');
  }

  function onBoth(local: TreeNode, remote: TreeNode, agreed: TreeNode | undefined): Fate {
    if (isFolder(local) !== isFolder(remote)) return STILL; // cannot be: another kind is another node
    const attributes = attributesFrom(local, remote, agreed);
    if (sameContent(local, remote)) return { type: 'lives', content: null, attributes };
    // whether the remote mode is to be kept can only be said of a file that was read
    if (local.content === null && (agreed === undefined || !sameContent(remote, agreed) || !sameAttributes(remote, agreed)))
      return undecided(local.id);
    if (agreed !== undefined && sameContent(remote, agreed)) return { type: 'lives', content: 'local', attributes: null };
    if (agreed !== undefined && sameContent(local, agreed)) return { type: 'lives', content: 'remote', attributes: null };
    return { type: 'lives', content: 'twice', attributes: null };
  }

  /** It is new, or was deleted on the other side. */
  function onOne(node: TreeNode, side: Side): Fate {
    const agreed = trees.ancestor.get(node.id);
    const lives: Fate = { type: 'lives', content: side, attributes: null };
    if (agreed === undefined || places.moved(node)) return lives;
    if (isFolder(node)) return ofDeletedFolder(node.id, side, lives);
    if (node.content === null) return undecided(node.id);
    return sameContent(node, agreed) ? DIES[side] : lives;
  }

  /** Deleted on the other side: it stays when something in it stays, and waits when something in it waits. */
  function ofDeletedFolder(id: NodeId, side: Side, lives: Fate): Fate {
    let waits = false;
    for (const child of trees[side].children(id)) {
      const inside = fate(child.id);
      if (inside.type === 'still') waits = true;
      if (inside.type !== 'lives') continue;
      // a local version that becomes a copy becomes one in the folder it is in
      if (places.of(child.id).parent === id || (inside.content === 'twice' && side === 'local')) return lives;
    }
    return waits ? STILL : DIES[side];
  }

  function undecided(id: NodeId): Fate {
    needHash(id);
    return STILL;
  }

  known.set(ROOT, { type: 'lives', content: null, attributes: null });
  return fate;
}

/** Mode and time are one thing, unless only one side changed the mode: then it is that side's. Both changed: the remote ones. */
function attributesFrom(local: TreeNode, remote: TreeNode, agreed: TreeNode | undefined): Source {
  if (sameAttributes(local, remote)) return null;
  if (agreed === undefined) return 'remote';
  for (const [side, node, other] of [
    ['local', local, remote],
    ['remote', remote, local],
  ] as const) {
    if (node.mode !== agreed.mode && other.mode === agreed.mode) return side;
  }
  return sameAttributes(remote, agreed) ? 'local' : 'remote';
}
