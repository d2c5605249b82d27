import { foldName } from '../../../Models/names.ts';
import type { Conflict, PlanInput, Side, Stuck } from './actions.ts';
import type { Fates } from './fates.ts';
import { conflictName } from './names.ts';
import type { Places } from './places.ts';
import type { NodeId, TreeNode } from './tree.ts';
import { type Place, SIDES, samePlace, type Trees } from './trees.ts';

/** Who gets which name, where several want it or somebody who cannot leave has it. */
export type NameClaims = {
  /** Where each node goes; for the local version of something edited twice see `copies`. */
  readonly placeOf: (id: NodeId) => Place;
  /** Nodes edited on both sides, with the name of the local version. */
  readonly copies: ReadonlyMap<NodeId, string>;
  readonly conflicts: readonly Conflict[];
  readonly stuck: readonly Stuck[];
};

type Decided = {
  readonly trees: Trees;
  readonly ids: Iterable<NodeId>;
  readonly places: Places;
  readonly fates: Fates;
  /** Told of each node whose local content must be read before it can be given another name. */
  readonly needHash: (id: NodeId) => void;
  /** Told of what can have no name now, with all below: then everything is to be decided once more. */
  readonly freeze: (id: NodeId) => void;
};

export function claimNames(input: PlanInput, { trees, ids, places, fates, needHash, freeze }: Decided): NameClaims {
  const renamed = new Map<NodeId, Place>();
  const copies = new Map<NodeId, string>();
  const conflicts: Conflict[] = [];
  const stuck: Stuck[] = [];
  const claims = new Map<NodeId, Map<string, NodeId>>(); // folder -> folded name -> who is to have it and is not there remotely
  const reserved = new Set<string>();
  const waiting = new Set<NodeId>(); // found to be frozen just now

  for (const id of ids) {
    const fate = fates(id);
    if (fate.type !== 'lives') continue;
    const place = places.of(id);
    if (!isThere('remote', id, place)) claimRemotely(id, place);
    if (!isThere('local', id, place)) waitForFrozen('local', id, place);
    if (fate.content === 'twice') nameCopy(id);
  }
  return { placeOf: (id) => renamed.get(id) ?? places.of(id), copies, conflicts, stuck };

  function wait(id: NodeId): void {
    waiting.add(id);
    freeze(id);
  }

  function isStill(id: NodeId): boolean {
    return fates(id).type === 'still' || waiting.has(id);
  }

  function isThere(side: Side, id: NodeId, place: Place): boolean {
    const node = trees[side].get(id);
    return node !== undefined && samePlace(node, place);
  }

  /** Local moves and new local nodes: the name may be taken remotely, or wanted by another local one. */
  function claimRemotely(id: NodeId, place: Place): void {
    const key = foldName(place.name);
    if (waitForFrozen('remote', id, place)) return;
    const owner = remoteOwner(id, place.parent, key);
    if (owner !== undefined) {
      yieldName(id, owner);
      return;
    }
    const folder = claims.get(place.parent) ?? new Map<string, NodeId>();
    claims.set(place.parent, folder);
    const rival = folder.get(key);
    if (rival === undefined || comesFirst(id, rival)) folder.set(key, id);
    if (rival !== undefined) yieldName(comesFirst(id, rival) ? rival : id, comesFirst(id, rival) ? id : rival);
  }

  /** Who has the name remotely, and keeps it. */
  function remoteOwner(id: NodeId, parent: NodeId, key: string): NodeId | undefined {
    for (const other of trees.remote.named(parent, key)) if (other.id !== id && wants(other.id, parent, key)) return other.id;
    return undefined;
  }

  function wants(id: NodeId, parent: NodeId, key: string): boolean {
    if (fates(id).type !== 'lives') return false;
    const place = places.of(id);
    return place.parent === parent && foldName(place.name) === key;
  }

  /** Of two local ones, what is synced already keeps its name; then what is older here. */
  function comesFirst(id: NodeId, rival: NodeId): boolean {
    const synced = Number(trees.remote.get(id) !== undefined) - Number(trees.remote.get(rival) !== undefined);
    return synced === 0 ? id < rival : synced > 0;
  }

  function yieldName(id: NodeId, winner: NodeId): void {
    if (areSideBySide(id, winner)) {
      stuck.push({ id, reason: 'name_collides' });
      wait(id);
      return;
    }
    const node = trees.local.get(id) ?? trees.remote.get(id);
    if (node === undefined) return;
    if (node.content === null) {
      needHash(id);
      wait(id);
      wait(winner);
      return;
    }
    const place = places.of(id);
    const name = copyName({ ...node, name: place.name }, place.parent);
    const created = trees.ancestor.get(id) === undefined && trees.ancestor.get(winner) === undefined;
    renamed.set(id, { parent: place.parent, name });
    conflicts.push({ id, kind: created ? 'created_twice' : 'name_taken', parent: place.parent, copyName: name });
  }

  /** The local file system holds both names, and both are there now. */
  function areSideBySide(id: NodeId, winner: NodeId): boolean {
    const one = trees.local.get(id);
    const two = trees.local.get(winner);
    return one !== undefined && two !== undefined && one.parent === two.parent && foldName(one.name) === foldName(two.name);
  }

  function nameCopy(id: NodeId): void {
    const local = trees.local.get(id);
    if (local === undefined) return;
    const name = copyName(local, local.parent);
    copies.set(id, name);
    conflicts.push({ id, kind: input.refused(id) ? 'not_allowed' : 'edited_twice', parent: local.parent, copyName: name });
  }

  function copyName(node: TreeNode, parent: NodeId): string {
    const name = conflictName(node, input.device, (candidate) => isTaken(parent, foldName(candidate)));
    reserved.add(`${parent}/${foldName(name)}`);
    return name;
  }

  function isTaken(parent: NodeId, key: string): boolean {
    if (reserved.has(`${parent}/${key}`)) return true;
    for (const side of SIDES) for (const _ of trees[side].named(parent, key)) return true;
    return false;
  }

  /** Something that must not be touched has the name: whoever wants it waits, and so does what is in it. */
  function waitForFrozen(side: Side, id: NodeId, place: Place): boolean {
    const node = trees[side].get(id);
    const key = foldName(place.name);
    // beside a sibling whose name folds to the same it can be renamed, where the file system holds both
    const beside = side === 'local' && !input.localFolds && node?.parent === place.parent && foldName(node.name) === key;
    for (const other of trees[side].named(place.parent, key)) {
      if (other.id === id || !isStill(other.id) || (beside && other.name !== place.name)) continue;
      wait(id);
      return true;
    }
    return false;
  }
}
