import { type NodeId, ROOT, type TreeNode } from '../../Client/sync/core/tree.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import { foldName } from '../../Models/names.ts';
import { type ContentKey, contentKey } from './ledger.ts';
import type { SimDevice } from './sim_device.ts';

const PRIVATE = ['.driftless'];

/** What is to be the same everywhere: all but what this device cannot have in common, and says so. */
export function comparable(device: SimDevice): Found[] {
  const tree = device.user.walk(PRIVATE);
  const told = toldApart(device);
  const apart = tree.filter(({ path }) => told.has(path) || isStuck(tree, path)).map(({ path }) => path);
  return tree.filter(({ path }) => !apart.some((other) => path === other || path.startsWith(`${other}/`)));
}

/** What this device says that it cannot have in common with the others, and what waits for that. */
export function toldApart(device: SimDevice): Set<string> {
  const { index } = device;
  const problems = index.problems();
  const told = new Set(problems.map(({ path }) => path));
  if (!problems.some(({ reason }) => reason === 'name_collides')) return told;
  for (const id of index.changed()) for (const side of ['local', 'remote', 'ancestor'] as const) told.add(pathOf(index[side], id));
  return told;
}

function pathOf(tree: { get(id: NodeId): TreeNode | undefined }, id: NodeId): string {
  const parts: string[] = [];
  for (let node = tree.get(id); node !== undefined && node.id !== ROOT && parts.length < 100; node = tree.get(node.parent))
    parts.unshift(node.name);
  return parts.join('/');
}

/** Its name is the same one as another's where case or accents do not count: it stays here. */
function isStuck(tree: readonly Found[], path: string): boolean {
  const cut = path.lastIndexOf('/') + 1;
  const folder = path.slice(0, cut);
  const name = foldName(path.slice(cut));
  return tree.some(
    ({ path: other }) =>
      other !== path && other.lastIndexOf('/') + 1 === cut && other.startsWith(folder) && foldName(other.slice(cut)) === name,
  );
}

/** Contents that are only on one device, and it says why. */
export function keptApart(device: SimDevice): ContentKey[] {
  const common = new Set(comparable(device).map(({ path }) => path));
  return device.user
    .walk(PRIVATE)
    .filter(({ path }) => !common.has(path))
    .flatMap((found) => contentKey(found) ?? []);
}

/** Something at this path need not be the same as elsewhere. */
export function isApart(device: SimDevice, path: string): boolean {
  return [...toldApart(device)].some((told) => path === told || path.startsWith(`${told}/`)) || !isCommon(device, path);
}

function isCommon(device: SimDevice, path: string): boolean {
  const tree = device.user.walk(PRIVATE);
  const parts = path.split('/');
  return !parts.some((_, depth) => isStuck(tree, parts.slice(0, depth + 1).join('/')));
}

/** What must be the same on all devices. @param timeStepMs of the coarsest of them */
export function describe(found: Found, timeStepMs: number): string {
  const { kind, mode, mtimeMs } = found.stat;
  const content = contentKey(found) ?? '';
  const time = timeStepMs < 1 ? Math.round(mtimeMs * 1000) : 'any time';
  if (kind === 'symlink') return `symlink ${time} ${content}`;
  return kind === 'folder' ? `folder ${mode.toString(8)}` : `file ${mode.toString(8)} ${time} ${content.slice(0, 12)}`;
}
