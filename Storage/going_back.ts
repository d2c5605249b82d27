import { LIMITS } from '../Models/limits.ts';

/**
 * Decides how nodes of one space come to be where they were: which steps, each of them possible when its turn comes, so that a reader of the
 * journal can follow them. Pure: no clock, no database. Nodes are known by id; what is not known is not touched.
 */

/** A node as it is now. `alive`: it is not deleted itself; the folder above it may be. */
export type Known = {
  readonly id: number;
  readonly parent: number | null; // null for the root of the space
  readonly name: string;
  readonly key: string;
  readonly isFolder: boolean;
  readonly alive: boolean;
  /** Something is below it that no deletion may take away. */
  readonly stays?: boolean;
};
export type Spot = { readonly parent: number; readonly name: string; readonly key: string };

/** What a node should be. */
export type Want = {
  readonly id: number;
  /** `null`: gone; `keep`: where it is now. */
  readonly place: Spot | 'keep' | null;
  /** It should have another content than it has. */
  readonly content: boolean;
  /** If it cannot go to its place it is deleted. */
  readonly orGone: boolean;
  /** What is in it and not wanted elsewhere goes with it; else that keeps it from going. */
  readonly whole: boolean;
};

export type Step = {
  readonly kind: 'delete' | 'move' | 'restore' | 'content';
  readonly id: number;
  readonly path: string; // from the root of the space, when the step is done
  readonly fromPath: string | null; // of a move
  readonly spot: Spot | null; // of a move or restore
  readonly withContent: boolean; // a restore that is of another content
};
export type Obstacle =
  | 'folder_gone' // what it was in is not there
  | 'name_taken' // something else has its name there
  | 'not_empty' // it should go, and something is in it that should stay
  | 'into_itself' // what it was in is in it now
  | 'path_too_long';
export type Blocked = { readonly id: number; readonly path: string; readonly reason: Obstacle };
export type Way = { readonly steps: readonly Step[]; readonly blocked: readonly Blocked[] };

type Live = {
  readonly stays: boolean;
  readonly id: number;
  parent: number | null;
  name: string;
  key: string;
  readonly isFolder: boolean;
  alive: boolean;
};
type Attempt = 'done' | Obstacle | { readonly waitFor: readonly number[]; readonly asOccupant: boolean };

/** @param nodes all that are wanted, all folders above where they are and where they should be, whatever bears their names there, and what is in folders that should go */
export function findWay(nodes: Iterable<Known>, wants: Iterable<Want>): Way {
  const way = new WayFinder(nodes, wants);
  return way.find();
}

class WayFinder {
  readonly #nodes = new Map<number, Live>();
  readonly #children = new Map<number, Map<string, Live>>(); // living ones by key
  readonly #pending = new Map<number, Want>();
  readonly #wants: readonly Want[];
  readonly #steps: Step[] = [];
  readonly #blocked: Blocked[] = [];
  readonly #settled = new Set<number>(); // wanted, and where they should be
  readonly #restored = new Set<number>();

  constructor(nodes: Iterable<Known>, wants: Iterable<Want>) {
    for (const { id, parent, name, key, isFolder, alive, stays = false } of nodes) {
      const node = { id, parent, name, key, isFolder, alive, stays };
      this.#nodes.set(id, node);
      if (alive) this.#enter(node);
    }
    this.#wants = [...wants];
    for (const want of this.#wants) this.#pending.set(want.id, want);
  }

  find(): Way {
    const places = this.#wants.filter(({ place }) => place !== null);
    for (const { id } of places) this.#settle(id);
    const leaving = this.#wants.filter(({ id }) => this.#pending.has(id));
    const depths = new Map(leaving.map(({ id }) => [id, this.#pathOf(id).split('/').length]));
    // The top of what goes first: with it goes what is in it.
    leaving.sort((a, b) => (depths.get(a.id) ?? 0) - (depths.get(b.id) ?? 0));
    for (const { id } of leaving) this.#settle(id);
    for (const want of this.#wants) this.#giveContent(want);
    return { steps: this.#steps, blocked: this.#blocked };
  }

  /** Does what is wanted of a node, and before that whatever it waits for. */
  #settle(first: number): void {
    const stack: { readonly id: number; asOccupant: boolean }[] = [{ id: first, asOccupant: false }];
    const onStack = new Set([first]);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const want = this.#pending.get(top.id);
      const attempt = want === undefined ? 'done' : this.#attempt(want);
      if (typeof attempt === 'string') {
        if (want !== undefined && attempt !== 'done' && want.orGone && want.place !== null) {
          this.#pending.set(want.id, { ...want, place: null });
          continue;
        }
        if (want !== undefined) this.#end(want, attempt);
        stack.pop();
        onStack.delete(top.id);
        continue;
      }
      const waits = attempt.waitFor.filter((id) => this.#pending.has(id));
      const met = waits.find((id) => onStack.has(id));
      if (met === undefined) {
        const [next] = waits; // one at a time: whatever is on the stack waits for what is above it
        if (next === undefined) throw new Error('something waits for what is settled');
        stack.push({ id: next, asOccupant: attempt.asOccupant });
        onStack.add(next);
        continue;
      }
      if (this.#breakCycle(stack, met, attempt.asOccupant)) {
        // Whatever waited in the ring has its turn later, or is waited for again.
        for (const { id } of stack.splice(stack.findIndex((entry) => entry.id === met) + 1)) onStack.delete(id);
        continue;
      }
      if (want !== undefined) this.#end(want, 'into_itself');
      stack.pop();
      onStack.delete(top.id);
    }
  }

  #end(want: Want, attempt: 'done' | Obstacle): void {
    this.#pending.delete(want.id);
    if (attempt === 'done') this.#settled.add(want.id);
    else this.#blocked.push({ id: want.id, path: this.#pathOf(want.id), reason: attempt });
  }

  /** Each waits for the next: one that only has a name that another needs gets a name for the time being. */
  #breakCycle(stack: readonly { readonly id: number; readonly asOccupant: boolean }[], met: number, asOccupant: boolean): boolean {
    const from = stack.findIndex(({ id }) => id === met);
    const held = asOccupant ? met : stack.slice(from + 1).find((entry) => entry.asOccupant)?.id;
    const node = held === undefined ? undefined : this.#nodes.get(held);
    if (node === undefined || node.parent === null || !node.alive || !this.#isReachable(node)) return false;
    const name = `.driftless-${node.id}`;
    if (node.name === name) return false;
    this.#move(node, { parent: node.parent, name, key: name.toUpperCase() }, 'move', false);
    return true;
  }

  #attempt(want: Want): Attempt {
    const node = this.#nodes.get(want.id);
    if (node === undefined) return 'folder_gone';
    if (want.place === null) return this.#attemptDelete(node, want.whole);
    if (want.place === 'keep') return node.alive ? 'done' : 'folder_gone';
    return this.#attemptPlace(node, want.place, want.content);
  }

  #attemptPlace(node: Live, spot: Spot, content: boolean): Attempt {
    const folder = this.#nodes.get(spot.parent);
    if (folder === undefined) return 'folder_gone';
    const between: number[] = [];
    for (let at: Live | undefined = folder; at !== undefined; at = this.#above(at)) {
      if (at.id === node.id) {
        const leaves = between.filter((id) => typeof this.#pending.get(id)?.place === 'object' && this.#pending.get(id)?.place !== null);
        return leaves.length === 0 ? 'into_itself' : { waitFor: leaves.slice(0, 1), asOccupant: false };
      }
      between.push(at.id);
    }
    for (let at: Live | undefined = folder; at !== undefined; at = this.#above(at)) {
      if (at.alive) continue;
      const comes = this.#pending.get(at.id)?.place;
      return comes === undefined || comes === null || comes === 'keep' ? 'folder_gone' : { waitFor: [at.id], asOccupant: false };
    }
    if (!folder.isFolder) return 'folder_gone';
    const isThere = node.alive && node.parent === spot.parent && node.name === spot.name && this.#isReachable(node);
    if (isThere) return 'done';
    const occupant = this.#children.get(spot.parent)?.get(spot.key);
    if (occupant !== undefined && occupant !== node) {
      const goes = this.#pending.get(occupant.id)?.place;
      return goes === undefined || goes === 'keep' || (goes !== null && goes.parent === spot.parent && goes.key === spot.key)
        ? 'name_taken'
        : { waitFor: [occupant.id], asOccupant: true };
    }
    const path = `${this.#pathOf(spot.parent)}/${spot.name}`;
    if (Buffer.byteLength(path) > LIMITS.pathBytesMax || path.split('/').length - 1 > LIMITS.pathDepthMax) return 'path_too_long';
    const kind = node.alive && this.#isReachable(node) ? 'move' : 'restore';
    this.#move(node, spot, kind, kind === 'restore' && content);
    return 'done';
  }

  #attemptDelete(node: Live, whole: boolean): Attempt {
    if (!node.alive) return 'done';
    for (let at = this.#above(node); at !== undefined; at = this.#above(at)) {
      if (at.alive) continue;
      const comes = this.#pending.get(at.id)?.place;
      if (comes === undefined || comes === null || comes === 'keep') return 'done'; // it is gone with that
      return { waitFor: [at.id], asOccupant: false };
    }
    if (node.stays) return 'not_empty';
    const leaving: number[] = [];
    const gone: Live[] = [];
    const queue = [{ node, whole }];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      gone.push(next.node);
      for (const child of this.#children.get(next.node.id)?.values() ?? []) {
        const want = this.#pending.get(child.id);
        if (want?.place === null) queue.push({ node: child, whole: next.whole || want.whole });
        else if (want !== undefined && want.place !== 'keep') leaving.push(child.id);
        else if (!next.whole) return 'not_empty';
      }
    }
    if (leaving.length > 0) return { waitFor: leaving, asOccupant: false };
    this.#steps.push({ kind: 'delete', id: node.id, path: this.#pathOf(node.id), fromPath: null, spot: null, withContent: false });
    this.#leave(node);
    node.alive = false;
    for (const { id } of gone) {
      if (id === node.id) continue;
      this.#pending.delete(id);
      this.#settled.add(id);
    }
    return 'done';
  }

  #giveContent({ id, content, place }: Want): void {
    const node = this.#nodes.get(id);
    if (!content || place === null || node === undefined || !this.#settled.has(id) || this.#restored.has(id) || !node.alive) return;
    if (!this.#isReachable(node)) {
      this.#blocked.push({ id, path: this.#pathOf(id), reason: 'folder_gone' });
      return;
    }
    this.#steps.push({ kind: 'content', id, path: this.#pathOf(id), fromPath: null, spot: null, withContent: true });
  }

  #move(node: Live, spot: Spot, kind: 'move' | 'restore', withContent: boolean): void {
    const fromPath = kind === 'move' ? this.#pathOf(node.id) : null;
    this.#leave(node);
    Object.assign(node, { parent: spot.parent, name: spot.name, key: spot.key, alive: true });
    this.#enter(node);
    if (kind === 'restore') this.#restored.add(node.id);
    this.#steps.push({ kind, id: node.id, path: this.#pathOf(node.id), fromPath, spot, withContent });
  }

  #enter(node: Live): void {
    if (node.parent === null) return;
    const siblings = this.#children.get(node.parent);
    if (siblings === undefined) this.#children.set(node.parent, new Map([[node.key, node]]));
    else siblings.set(node.key, node);
  }

  #leave(node: Live): void {
    const siblings = node.parent === null ? undefined : this.#children.get(node.parent);
    if (siblings?.get(node.key) === node) siblings.delete(node.key);
  }

  #above(node: Live): Live | undefined {
    return node.parent === null ? undefined : this.#nodes.get(node.parent);
  }

  #isReachable(node: Live): boolean {
    let at: Live | undefined = node;
    for (; at?.alive === true; at = this.#above(at)) if (at.parent === null) return true;
    return false;
  }

  /** From the root of the space; of what cannot be reached, from where the way up ends. */
  #pathOf(id: number): string {
    const names: string[] = [];
    for (let at = this.#nodes.get(id); at !== undefined && at.parent !== null; at = this.#above(at)) names.push(at.name);
    return names.length === 0 ? '' : `/${names.reverse().join('/')}`;
  }
}
