import assert from 'node:assert/strict';
import type { Change } from '../metadata.ts';

type Kept = { readonly parent: number; readonly name: string; readonly what: string; readonly alive: boolean };
/** Nodes by id, as one gets them by playing the journal from its beginning; 0 is the root. */
export type Played = ReadonlyMap<number, Kept>;

export function play(changes: readonly Change[]): Played {
  const nodes = new Map<number, Kept>();
  const find = (at: string): number => {
    let folder = 0;
    for (const part of at.split('/').filter((each) => each !== '')) {
      const found = [...nodes].find(([, node]) => node.alive && node.parent === folder && node.name === part);
      assert.ok(found, `${at} is not there when the journal is played`);
      folder = found[0];
    }
    return folder;
  };
  for (const { kind, nodeId, path: at, fromPath, digest } of changes) {
    if (at === '/') continue;
    const cut = at.lastIndexOf('/');
    if (kind === 'delete') {
      assert.equal(find(at), nodeId);
      nodes.set(nodeId, { ...(nodes.get(nodeId) as Kept), alive: false });
      continue;
    }
    if (kind === 'move') assert.equal(find(fromPath ?? ''), nodeId);
    const [parent, own] = [find(at.slice(0, cut)), at.slice(cut + 1)];
    const taken = [...nodes].find(([id, node]) => id !== nodeId && node.alive && node.parent === parent && node.name === own);
    assert.equal(taken, undefined, `${at} was taken when the journal is played`);
    nodes.set(nodeId, { parent, name: own, what: digest?.toString('hex').slice(0, 8) ?? 'folder', alive: true });
  }
  return nodes;
}

/** From below the root down to a node; null if it, or something above it, is not there. */
export function chainOf(nodes: Played, id: number): Kept[] | null {
  const chain: Kept[] = [];
  for (let at = id; at !== 0; ) {
    const node = nodes.get(at);
    if (node?.alive !== true) return null;
    chain.unshift(node);
    at = node.parent;
  }
  return chain;
}

/** What is below a folder: path from there, and content. */
export function linesBelow(nodes: Played, folder: number): string[] {
  const depth = folder === 0 ? 0 : (chainOf(nodes, folder)?.length ?? Number.NaN);
  return [...nodes]
    .flatMap(([id, node]) => {
      const chain = chainOf(nodes, id);
      let isBelow = folder === 0;
      for (let at = id; at !== 0 && id !== folder; at = nodes.get(at)?.parent ?? 0) isBelow ||= at === folder;
      return chain === null || !isBelow
        ? []
        : [
            `${chain
              .slice(depth)
              .map((each) => each.name)
              .join('/')} ${node.what}`,
          ];
    })
    .sort();
}

export function isBelow(nodes: Played, id: number, folder: number): boolean {
  if (folder === 0) return true;
  for (let at = id; at !== 0; at = nodes.get(at)?.parent ?? 0) if (at === folder) return true;
  return false;
}
