/**
 * Who may do what, written as plainly as possible: every file and folder is in one place, a shared folder has grants, and a user's role at a
 * node is the most that is granted on the way up from it. It knows no rows, no spaces and no mounts.
 */
export const ROLES = ['viewer', 'editor', 'owner'] as const;
export const NONE = -1;
export const EDITOR = 1;
export const OWNER = 2;

export type Invited = { readonly id: string; readonly role: number; readonly from: string; readonly name: string };
type Spot = { folder: ModelNode; name: string };
export type Share = {
  readonly owner: string;
  readonly grants: Map<string, number>;
  readonly invited: Map<string, Invited>; // open ones, by whom they are to
  readonly spots: Map<string, Spot>; // where those have it in their home who do not find it where it is
};
export type ModelNode = {
  name: string;
  parent: ModelNode | null;
  readonly home: string | null; // whose home this is the root of
  readonly text: string | null; // of a file
  readonly children: Set<ModelNode>;
  share: Share | null;
  id: number; // as the server has it
};

/** A public link: whoever has it sees what it leads to for as long as its maker does. */
export type ModelLink = {
  readonly id: string;
  readonly token: string;
  readonly maker: string;
  readonly node: ModelNode;
  readonly nodeId: number;
};

/** What was deleted, and to whom that is told: those who have seen its space from then on without a break. */
export type Gone = {
  readonly node: ModelNode;
  readonly folder: ModelNode;
  readonly folderId: number;
  readonly space: ModelNode;
  readonly toldTo: Set<string>;
};

export type ModelPublication = {
  readonly id: string;
  readonly owner: string;
  readonly audience: 'everyone' | ReadonlySet<string> | ModelNode;
};

/** Of a shared folder that its owner does not see any more nobody else is told. */
export function isPublishedTo(user: string, { owner, audience }: ModelPublication): boolean {
  if (user === owner || audience === 'everyone') return true;
  if (audience instanceof Set) return audience.has(user);
  const node = audience as ModelNode;
  return isThere(node) && role(user, node) !== NONE && role(owner, node) !== NONE;
}

/** The folder it was in is where it was, in the same space. */
export function isStillIn({ folder, folderId, space }: Gone): boolean {
  return isThere(folder) && folder.id === folderId && spaceOf(folder) === space;
}

export function newNode(name: string, text: string | null = null, home: string | null = null): ModelNode {
  return { name, parent: null, home, text, children: new Set(), share: null, id: 0 };
}

/** The way up, itself first. */
function* up(node: ModelNode): Generator<ModelNode> {
  for (let at: ModelNode | null = node; at !== null; at = at.parent) yield at;
}

export function role(user: string, node: ModelNode): number {
  let most = NONE;
  for (const at of up(node)) most = Math.max(most, at.home === user ? OWNER : NONE, at.share?.grants.get(user) ?? NONE);
  return most;
}

/** Of what is in a home that is not the user's own, only what is shared can be seen. */
function isThere(node: ModelNode): boolean {
  return [...up(node)].some(({ home }) => home !== null);
}

export function roleAround(user: string, node: ModelNode): number {
  return node.parent === null ? NONE : role(user, node.parent);
}

/** Where the user has the node; null if nowhere. */
export function pathOf(user: string, node: ModelNode): string | null {
  if (role(user, node) === NONE) return null;
  if (node.home !== null) return '';
  const around = roleAround(user, node) === NONE ? node.share?.spots.get(user) : { folder: node.parent as ModelNode, name: node.name };
  return around === undefined ? null : `${pathOf(user, around.folder)}/${around.name}`;
}

/** The shared folder or home that a node is in, or is. */
export function spaceOf(node: ModelNode): ModelNode {
  for (const at of up(node)) if (at.share !== null || at.home !== null) return at;
  throw new Error('a node that is nowhere');
}

/** What is around the node where the user has it. */
export function folderAround(user: string, node: ModelNode): ModelNode {
  return (roleAround(user, node) === NONE ? node.share?.spots.get(user)?.folder : node.parent) as ModelNode;
}

export function* below(node: ModelNode): Generator<ModelNode> {
  yield node;
  for (const child of node.children) yield* below(child);
}

/** What a link shows now; null if nothing. What is moved into another space leaves a copy behind no link: it has another id. */
export function linked({ maker, node, nodeId }: ModelLink): ModelNode | null {
  return node.id === nodeId && isThere(node) && role(maker, node) !== NONE ? node : null;
}

export class Rights {
  /** Those that were ever made. */
  readonly links = new Set<ModelLink>();
  readonly publications = new Set<ModelPublication>();
  readonly trash: Gone[] = [];
  readonly homes = new Map<string, ModelNode>();
  readonly users: readonly string[];
  /** Digests of contents (here their texts) that were ever in a space, which its members may name. */
  readonly noted = new Map<ModelNode, Set<string>>();

  constructor(users: readonly string[]) {
    this.users = users;
    for (const user of users) this.homes.set(user, newNode('', null, user));
  }

  all(): ModelNode[] {
    return [...this.homes.values()].flatMap((home) => [...below(home)].slice(1));
  }
  shares(): ModelNode[] {
    return this.all().filter(({ share }) => share !== null);
  }
  home(user: string): ModelNode {
    return this.homes.get(user) as ModelNode;
  }

  /** What the user finds in a folder, by name. */
  listed(user: string, folder: ModelNode): Map<string, ModelNode> {
    const found = new Map(Array.from(folder.children, (child) => [child.name, child]));
    for (const node of this.shares()) {
      const spot = node.share?.spots.get(user);
      if (spot?.folder === folder) found.set(spot.name, node);
    }
    return found;
  }

  /** Contents that the user may name by their digests. */
  readable(user: string): Set<string> {
    const texts = new Set<string>();
    for (const [space, own] of this.noted) if (isThere(space) && role(user, space) !== NONE) for (const text of own) texts.add(text);
    return texts;
  }

  mayRead(user: string, text: string): boolean {
    return this.readable(user).has(text);
  }

  /** Those who see the space may name what is in the node from now on, but for what is in shared folders in it. */
  note(space: ModelNode, node: ModelNode): void {
    const texts = this.noted.get(space) ?? new Set();
    this.noted.set(space, texts);
    if (node.text !== null) texts.add(node.text);
    for (const child of node.children) if (child.share === null) this.note(space, child);
  }

  add(folder: ModelNode, node: ModelNode): void {
    node.parent = folder;
    folder.children.add(node);
    this.note(spaceOf(folder), node);
  }

  /** A shared folder comes with a space of its own, so nothing new can be named by those around. */
  put(folder: ModelNode, node: ModelNode): void {
    node.parent = folder;
    folder.children.add(node);
  }

  /** What a path of the user's leads to. */
  at(user: string, path: string): ModelNode | null {
    let node: ModelNode | undefined = this.home(user);
    for (const name of path.split('/').slice(1)) node = node === undefined ? undefined : this.listed(user, node).get(name);
    return node ?? null;
  }

  remove(node: ModelNode): void {
    node.parent?.children.delete(node);
    node.parent = null;
  }

  /** Deletes what is no shared folder. */
  bury(node: ModelNode): void {
    const folder = node.parent as ModelNode;
    const space = spaceOf(folder);
    const toldTo = new Set(this.users.filter((user) => role(user, space) !== NONE));
    this.trash.push({ node, folder, folderId: folder.id, space, toldTo });
    this.remove(node);
  }

  raise(gone: Gone): void {
    this.trash.splice(this.trash.indexOf(gone), 1);
    this.put(gone.folder, gone.node);
  }

  /** Of a link: neither the user's own nor one that shows anything they can see. What is in a folder the maker has below it in their own tree. */
  isForeign(user: string, { maker, node }: ModelLink): boolean {
    const inside = `${pathOf(maker, node)}/`;
    const shown = [node, ...this.all().filter((each) => pathOf(maker, each)?.startsWith(inside))];
    return maker !== user && shown.every((each) => role(user, each) === NONE);
  }

  share(folder: ModelNode): Share {
    if (folder.share !== null) return folder.share;
    const around = spaceOf(folder);
    const owner = around.share?.owner ?? (around.home as string);
    folder.share = { owner, grants: new Map([[owner, OWNER]]), invited: new Map(), spots: new Map() };
    this.note(folder, folder);
    return folder.share;
  }

  /** After each change: nothing stays where its first owner cannot see it, and each member has it in one place. */
  settle(): void {
    for (const node of this.shares()) {
      const { owner, grants, spots, invited } = node.share as Share;
      if (roleAround(owner, node) === NONE) {
        this.remove(node);
        this.put(this.home(owner), node);
      }
      for (const user of this.users) {
        const needed = grants.has(user) && roleAround(user, node) === NONE;
        if (!needed) spots.delete(user);
        else if (!spots.has(user)) spots.set(user, { folder: this.home(user), name: node.name });
      }
      for (const [user, { from }] of invited) if (role(from, node) < OWNER) invited.delete(user);
    }
    for (const { space, toldTo } of this.trash)
      for (const user of toldTo) if (!isThere(space) || role(user, space) === NONE) toldTo.delete(user);
  }
}
