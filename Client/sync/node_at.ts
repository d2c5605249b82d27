import { foldName } from '../../Models/names.ts';
import { type NodeId, ROOT } from './core/tree.ts';

type Named = { named(parent: NodeId, key: string): readonly { readonly id: NodeId; readonly name: string }[] };

/** @param path from the root, with the names of this disk @returns `null`: not known there */
export function nodeAt(tree: Named, names: { toRemote(localName: string): string }, path: string): NodeId | null {
  let id = ROOT;
  for (const part of path === '' ? [] : path.split('/')) {
    const name = names.toRemote(part);
    const child = tree.named(id, foldName(name)).find((one) => one.name === name);
    if (child === undefined) return null;
    id = child.id;
  }
  return id;
}
