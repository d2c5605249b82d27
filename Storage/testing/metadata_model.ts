import { foldName, readAnchored } from '../../Models/names.ts';
import type { Base, Operation } from '../../Models/operations.ts';

/** A tree in memory that does what the metadata port must do, written as plainly as possible and without looking at how the port does it. */
export type ModelFolder = {
  readonly kind: 'folder';
  readonly space: string;
  readonly children: Map<string, { name: string; node: ModelNode }>;
  mode: number;
  mtimeUs: number;
  version: number; // NaN where it is not known
};
export type ModelFile = { kind: 'file' | 'symlink'; content: string; traits: string; version: number };
export type ModelNode = ModelFolder | ModelFile;

export const MODEL_NOW_MS = 1000;

export const newModelFolder = (space: string): ModelFolder => ({
  kind: 'folder',
  space,
  children: new Map(),
  mode: 0o755,
  mtimeUs: MODEL_NOW_MS * 1000,
  version: Number.NaN,
});

/** A model of what one user sees, and all nodes that ever were, by the ids that the port gave them. */
export type Model = { readonly root: ModelFolder; readonly known: ReadonlyMap<number, ModelNode> };

/** Where a node is now, looked for everywhere. */
function pathOfNode(folder: ModelFolder, wanted: ModelNode, path = ''): string | null {
  if (folder === wanted) return path === '' ? '/' : path;
  for (const { name, node } of folder.children.values()) {
    const found = node === wanted ? `${path}/${name}` : node.kind === 'folder' ? pathOfNode(node, wanted, `${path}/${name}`) : null;
    if (found !== null) return found;
  }
  return null;
}

/** The path that a path stands for; `null` if it is anchored at what is not there. */
export function plainPath({ root, known }: Model, path: string): string | null {
  const anchored = readAnchored(path);
  if (anchored === null) return path;
  const node = known.get(anchored.id);
  const start = node === undefined ? null : pathOfNode(root, node);
  if (start === null) return null;
  return [start === '/' ? '' : start, ...anchored.below].join('/') || '/';
}

/** Everything that is there, by path. */
export function modelNodes(folder: ModelFolder, path = ''): [path: string, node: ModelNode][] {
  return [...folder.children.values()].flatMap(({ name, node }): [string, ModelNode][] => [
    [`${path}/${name}`, node],
    ...(node.kind === 'folder' ? modelNodes(node, `${path}/${name}`) : []),
  ]);
}

const partsOf = (path: string): string[] => path.split('/').slice(1);

type Way = { folder: ModelFolder; missing: string[] } | 'name_collides' | 'not_a_folder';

/** Goes down existing folders of exactly these names. */
function down(root: ModelFolder, parts: readonly string[]): Way {
  let folder = root;
  for (const [i, part] of parts.entries()) {
    const found = folder.children.get(foldName(part));
    if (found === undefined) return { folder, missing: parts.slice(i) };
    if (found.name !== part) return 'name_collides';
    if (found.node.kind !== 'folder') return 'not_a_folder';
    folder = found.node;
  }
  return { folder, missing: [] };
}

type Leaf = { parent: ModelFolder; missing: string[]; name: string; there: { name: string; node: ModelNode } | undefined };

function leaf(root: ModelFolder, path: string): Leaf | 'name_collides' | 'not_a_folder' {
  const parts = partsOf(path);
  const name = parts.pop() as string;
  const way = down(root, parts);
  if (typeof way === 'string') return way;
  const there = way.missing.length > 0 ? undefined : way.folder.children.get(foldName(name));
  return { parent: way.folder, missing: way.missing, name, there };
}

function find(root: ModelFolder, path: string): (Leaf & { there: { name: string; node: ModelNode } }) | null {
  const found = leaf(root, path);
  if (typeof found === 'string' || found.there === undefined || found.there.name !== found.name) return null;
  return { ...found, there: found.there };
}

function make(folder: ModelFolder, names: readonly string[]): ModelFolder {
  let current = folder;
  for (const name of names) {
    const made = newModelFolder(current.space);
    current.children.set(foldName(name), { name, node: made });
    current = made;
  }
  return current;
}

function copyInto(node: ModelNode, space: string): ModelNode {
  if (node.kind !== 'folder') return { ...node, version: Number.NaN };
  const made: ModelFolder = { ...newModelFolder(space), mode: node.mode, mtimeUs: node.mtimeUs };
  for (const [key, { name, node: child }] of node.children) made.children.set(key, { name, node: copyInto(child, space) });
  return made;
}

function baseHolds(base: Base, node: ModelNode | undefined): boolean {
  if (base === 'any') return true;
  return base === 'absent' ? node === undefined : node?.version === base;
}

type Writing = { readonly path: string; readonly base: Base; readonly anchored: boolean };

function write(root: ModelFolder, { path, base, anchored }: Writing, file: Omit<ModelFile, 'version'>): string {
  const found = leaf(root, path);
  if (typeof found === 'string') return found;
  const { parent, missing, name, there } = found;
  if (anchored && missing.length > 0) return 'not_found';
  if (there !== undefined && there.name !== name) return 'name_collides';
  const node = there?.node;
  if (node?.kind === 'folder') return 'not_a_file';
  const same = node?.kind === file.kind && node.content === file.content;
  if (same && node.traits === file.traits) return 'unchanged';
  if (!same && !baseHolds(base, node)) return 'version_stale';
  if (node !== undefined) Object.assign(node, file);
  else make(parent, missing).children.set(foldName(name), { name, node: { ...file, version: Number.NaN } });
  return 'done';
}

type Transfer = { readonly from: string; readonly to: string; readonly keep: boolean; readonly base: Base };

function transfer(root: ModelFolder, { from, to, keep, base }: Transfer): string {
  const source = find(root, from);
  if (source === null) return 'not_found';
  const target = leaf(root, to);
  if (typeof target === 'string') return target;
  if (target.missing.length > 0) return 'not_found';
  const itself = !keep && target.there === source.there;
  if (target.there !== undefined && !itself) return target.there.name === target.name ? 'already_exists' : 'name_collides';
  if (to !== from && to.startsWith(`${from}/`)) return 'folder_into_itself';
  if (to === from) return 'unchanged';
  if (!keep && !baseHolds(base, source.there.node)) return 'version_stale';
  const { node } = source.there;
  const crosses = source.parent.space !== target.parent.space;
  const moved = keep || crosses ? copyInto(node, target.parent.space) : node;
  if (!keep) source.parent.children.delete(foldName(source.name));
  target.parent.children.set(foldName(target.name), { name: target.name, node: moved });
  return 'done';
}

function makeFolder(root: ModelFolder, { path, existingOk, mode, mtimeUs }: Extract<Operation, { kind: 'mkdir' }>): string {
  const found = leaf(root, path);
  if (typeof found === 'string') return found;
  const { there } = found;
  if (there === undefined) {
    const made = make(found.parent, [...found.missing, found.name]);
    Object.assign(made, { mode: mode ?? made.mode, mtimeUs: mtimeUs ?? made.mtimeUs });
    return 'done';
  }
  if (there.name !== found.name) return 'name_collides';
  if (!existingOk) return 'already_exists';
  const { node } = there;
  if (node.kind !== 'folder') return 'not_a_folder';
  const wanted = { mode: mode ?? node.mode, mtimeUs: mtimeUs ?? node.mtimeUs };
  if (node.mode === wanted.mode && node.mtimeUs === wanted.mtimeUs) return 'unchanged';
  Object.assign(node, wanted);
  return 'done';
}

function removeAt(root: ModelFolder, { path, base, onlyEmpty }: Extract<Operation, { kind: 'delete' }>): string {
  const found = find(root, path);
  if (found === null) return 'not_found';
  const { node } = found.there;
  if (!baseHolds(base, node)) return 'version_stale';
  if (onlyEmpty && node.kind === 'folder' && node.children.size > 0) return 'not_empty';
  found.parent.children.delete(foldName(found.name));
  return 'done';
}

/** Carries the operation out and says in one word what becomes of it. */
export function applyToModel(model: Model, operation: Operation): string {
  const { root } = model;
  if ('from' in operation) {
    const [from, to] = [plainPath(model, operation.from), plainPath(model, operation.to)];
    if (from === null || to === null) return 'not_found';
    const keep = operation.kind === 'copy';
    return transfer(root, { from, to, keep, base: operation.kind === 'move' ? operation.base : 'any' });
  }
  const path = plainPath(model, operation.path);
  if (path === null) return 'not_found';
  const anchored = path !== operation.path;
  switch (operation.kind) {
    case 'put': {
      const content = Buffer.from(operation.digest).toString('hex');
      const traits = `${operation.mtimeUs} ${operation.mode}`;
      return write(root, { path, base: operation.base, anchored }, { kind: 'file', content, traits });
    }
    case 'symlink': {
      const traits = `${operation.mtimeUs}`;
      return write(root, { path, base: operation.base, anchored }, { kind: 'symlink', content: operation.target, traits });
    }
    case 'mkdir':
      return makeFolder(root, { ...operation, path });
    case 'delete':
      return removeAt(root, { ...operation, path });
  }
}

/** Remembers the version that the port gave to what is at a path. */
export function noteVersion(root: ModelFolder, path: string, version: number): void {
  const node = find(root, path)?.there.node;
  if (node !== undefined) node.version = version;
}

export function versionAt(root: ModelFolder, path: string): number | null {
  return find(root, path)?.there.node.version ?? null;
}

/** As `listing` of the fixture gives it. @param digestOf the content id of a symlink's target is not shown, that of a file is its content */
export function modelListing(root: ModelFolder): string[] {
  const lines: string[] = [];
  const visit = (folder: ModelFolder, path: string): void => {
    for (const { name, node } of folder.children.values()) {
      const what = node.kind === 'folder' ? '' : node.kind === 'file' ? node.content.slice(0, 8) : node.content;
      lines.push(`${path}/${name} ${node.kind} ${what}`.trim());
      if (node.kind === 'folder') visit(node, `${path}/${name}`);
    }
  };
  visit(root, '');
  return lines.sort();
}
