import { foldName } from '../../Models/names.ts';
import type { Base, Operation } from '../../Models/operations.ts';

/** A tree in memory that does what the metadata port must do, written as plainly as possible and without looking at how the port does it. */
export type ModelFolder = {
  readonly kind: 'folder';
  readonly space: string;
  readonly children: Map<string, { name: string; node: ModelNode }>;
};
export type ModelFile = { readonly kind: 'file' | 'symlink'; content: string; traits: string; version: number };
export type ModelNode = ModelFolder | ModelFile;

export const newModelFolder = (space: string): ModelFolder => ({ kind: 'folder', space, children: new Map() });

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
  if (node.kind !== 'folder') return { ...node };
  const made = newModelFolder(space);
  for (const [key, { name, node: child }] of node.children) made.children.set(key, { name, node: copyInto(child, space) });
  return made;
}

function baseHolds(base: Base, node: ModelFile | undefined): boolean {
  if (base === 'any') return true;
  return base === 'absent' ? node === undefined : node?.version === base;
}

function write(root: ModelFolder, path: string, base: Base, file: Omit<ModelFile, 'version'>): string {
  const found = leaf(root, path);
  if (typeof found === 'string') return found;
  const { parent, missing, name, there } = found;
  if (there !== undefined && there.name !== name) return 'name_collides';
  const node = there?.node;
  if (node?.kind === 'folder') return 'not_a_file';
  const same = node?.kind === file.kind && node.content === file.content;
  if (same && node.traits === file.traits) return 'unchanged';
  if (!same && !baseHolds(base, node)) return 'version_stale';
  make(parent, missing).children.set(foldName(name), { name, node: { ...file, version: node?.version ?? 0 } });
  return 'done';
}

function transfer(root: ModelFolder, from: string, to: string, keep: boolean): string {
  const source = find(root, from);
  if (source === null) return 'not_found';
  const target = leaf(root, to);
  if (typeof target === 'string') return target;
  if (target.missing.length > 0) return 'not_found';
  const itself = !keep && target.there === source.there;
  if (target.there !== undefined && !itself) return target.there.name === target.name ? 'already_exists' : 'name_collides';
  if (to !== from && to.startsWith(`${from}/`)) return 'folder_into_itself';
  if (to === from) return 'unchanged';
  const { node } = source.there;
  const crosses = source.parent.space !== target.parent.space;
  const moved = keep || crosses ? copyInto(node, target.parent.space) : node;
  if (!keep) source.parent.children.delete(foldName(source.name));
  target.parent.children.set(foldName(target.name), { name: target.name, node: moved });
  return 'done';
}

/** Carries the operation out and says in one word what becomes of it. */
export function applyToModel(root: ModelFolder, operation: Operation): string {
  switch (operation.kind) {
    case 'put': {
      const content = Buffer.from(operation.digest).toString('hex');
      return write(root, operation.path, operation.base, { kind: 'file', content, traits: `${operation.mtimeUs} ${operation.mode}` });
    }
    case 'symlink':
      return write(root, operation.path, operation.base, { kind: 'symlink', content: operation.target, traits: `${operation.mtimeUs}` });
    case 'mkdir': {
      const found = leaf(root, operation.path);
      if (typeof found === 'string') return found;
      if (found.there === undefined) {
        make(found.parent, [...found.missing, found.name]);
        return 'done';
      }
      if (found.there.name !== found.name) return 'name_collides';
      if (!operation.existingOk) return 'already_exists';
      return found.there.node.kind === 'folder' ? 'unchanged' : 'not_a_folder';
    }
    case 'delete': {
      const found = find(root, operation.path);
      if (found === null) return 'not_found';
      found.parent.children.delete(foldName(found.name));
      return 'done';
    }
    case 'move':
      return transfer(root, operation.from, operation.to, false);
    case 'copy':
      return transfer(root, operation.from, operation.to, true);
  }
}

/** Remembers the version that the port gave to the file at a path. */
export function noteVersion(root: ModelFolder, path: string, version: number): void {
  const node = find(root, path)?.there.node;
  if (node !== undefined && node.kind !== 'folder') node.version = version;
}

export function versionAt(root: ModelFolder, path: string): number | null {
  const node = find(root, path)?.there.node;
  return node === undefined || node.kind === 'folder' ? null : node.version;
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
