import type { Side } from './actions.ts';
import type { Places } from './places.ts';
import { type NodeId, ROOT, type TreeNode } from './tree.ts';
import { isFolder, otherSide, sameAttributes, sameContent, type Trees } from './trees.ts';

/** From which side something is taken over; `null`: it is the same on both. */
export type Source = Side | null;

/**
 * What becomes of a node.
 * still  nothing is done to it now, wherever it is
 * gone   it is on neither side
 * dies   it is deleted on `side`, the only one that has it
 * lives  on both sides, once all is done. `twice`: its content was edited on both, the local version becomes a copy. `rescued`: only because a
 *        folder above was moved, so what was agreed about it must be forgotten first: later nobody could tell
 */
export type Fate =
  | { readonly type: 'still' | 'gone' }
  | { readonly type: 'dies'; readonly side: Side }
  | { readonly type: 'lives'; readonly content: Source | 'twice'; readonly attributes: Source; readonly rescued: boolean };

const STILL: Fate = { type: 'still' };
const GONE: Fate = { type: 'gone' };
const DIES = { local: { type: 'dies', side: 'local' }, remote: { type: 'dies', side: 'remote' } } as const satisfies Record<Side, Fate>;

const TAKEN_OVER = { local: livesFrom('local', false), remote: livesFrom('remote', false) } as const satisfies Record<Side, Fate>;
const RESCUED = { local: livesFrom('local', true), remote: livesFrom('remote', true) } as const satisfies Record<Side, Fate>;

function livesFrom(content: Side, rescued: boolean): Fate {
  return { type: 'lives', content, attributes: null, rescued };
}

export type Fates = (id: NodeId) => Fate;

/**
 * @param isFrozen nothing may be done to it now
 * @param needHash told of each node whose local content must be read before its fate is known
 * @param freeze told of what turns out to have to wait, with all below: then everything is to be decided once more
 */
export function decideFates(
  trees: Trees,
  {
    places,
    isFrozen,
    needHash,
    freeze,
  }: {
    readonly places: Places;
    readonly isFrozen: (id: NodeId) => boolean;
    readonly needHash: (id: NodeId) => void;
    readonly freeze: (id: NodeId) => void;
  },
): Fates {
  const known = new Map<NodeId, Fate>();
  const rescues = new Map<NodeId, boolean>([[ROOT, false]]);

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
    if (sameContent(local, remote)) return { type: 'lives', content: null, attributes, rescued: false };
    // whether the remote mode is to be kept can only be said of a file that was read
    if (local.content === null && (agreed === undefined || !sameContent(remote, agreed) || !sameAttributes(remote, agreed)))
      return undecided(local.id);
    if (agreed !== undefined && sameContent(remote, agreed)) return { type: 'lives', content: 'local', attributes: null, rescued: false };
    if (agreed !== undefined && sameContent(local, agreed)) return { type: 'lives', content: 'remote', attributes: null, rescued: false };
    return { type: 'lives', content: 'twice', attributes: null, rescued: false };
  }

  /** It is new, or was deleted on the other side. */
  function onOne(node: TreeNode, side: Side): Fate {
    const agreed = trees.ancestor.get(node.id);
    const lives = TAKEN_OVER[side];
    if (agreed === undefined || places.moved(node)) return isFolder(node) ? unlessHeldUp(node.id, side, lives) : lives;
    if (rescuesContent(node.parent, side)) {
      const rescued = RESCUED[side];
      return isFolder(node) ? unlessHeldUp(node.id, side, rescued) : rescued;
    }
    if (isFolder(node)) return ofDeletedFolder(node.id, side, lives);
    if (node.content === null) return undecided(node.id);
    return sameContent(node, agreed) ? DIES[side] : lives;
  }

  /** Made before what waits in it was forgotten, a folder would later seem to have been there when that was deleted. So it waits as well. */
  function unlessHeldUp(id: NodeId, side: Side, fateOtherwise: Fate): Fate {
    for (const child of trees[side].children(id)) {
      if (trees.ancestor.get(child.id) === undefined || places.moved(child) || fate(child.id).type !== 'still') continue;
      freeze(id);
      return STILL;
    }
    return fateOtherwise;
  }

  /** A folder that the other side deleted, and that was moved here, or is in one that was: a move beats a delete, for all that is in it. */
  function rescuesContent(id: NodeId, side: Side): boolean {
    const before = rescues.get(id);
    if (before !== undefined) return before;
    const folder = trees[side].get(id);
    let found = false;
    if (folder !== undefined && trees[otherSide(side)].get(id) === undefined) {
      // what is in it was agreed on, and it was not: it was forgotten already
      found = trees.ancestor.get(id) === undefined || places.moved(folder) || rescuesContent(folder.parent, side);
    }
    rescues.set(id, found);
    return found;
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

  known.set(ROOT, { type: 'lives', content: null, attributes: null, rescued: false });
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
