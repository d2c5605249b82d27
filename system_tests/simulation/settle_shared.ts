import { type NodeId, ROOT } from '../../Client/sync/core/tree.ts';
import { folderOf } from '../../Client/sync/disk/disk_paths.ts';
import { portableNames } from '../../Client/sync/disk/portable_names.ts';
import type { Reason } from '../../Client/sync/reasons.ts';
import { localPath } from '../../Client/sync/scan/scan.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import { comparable, isApart } from './comparable.ts';
import { contentIdOf } from './content.ts';
import { liveContents } from './ledger.ts';
import { pathsOf, type Sharing } from './sharing.ts';
import type { SimDevice } from './sim_device.ts';
import { principalOf } from './sim_server.ts';
import { Violation, type World } from './world.ts';

const VIEWER = 0;
/** Nothing is left to wait for. */
const PASSING: ReadonlySet<string> = new Set<Reason>(['remote_error', 'offline', 'still_changing', 'waiting_turn', 'sending', 'fetching']);
/** Of a folder. Nobody leaves anything out here: what it is kept for is in it and has a reason of its own. */
const KEPT_FOR_OTHERS: Reason = 'folder_not_empty';

/** Where two users share: nothing that a person wrote is lost, and each device has what its user has on the server, and knows of nothing else. */
export async function checkShared(world: World, sharing: Sharing, devices: readonly SimDevice[]): Promise<void> {
  const live = new Map(world.devices.flatMap(({ user }) => [...liveContents(user.walk(['.driftless']))]));
  const missing = world.ledger.missing(live);
  if (missing.length > 0) throw new Violation('I1', `nobody has ${missing.join(', ')}`);
  const stranded = sharing.stranded();
  if (stranded !== null) throw new Violation('I2', stranded);
  const cursors = new Map<string, string>();
  for (const account of world.users) {
    const { nodes, cursor } = await sharing.tree(account);
    cursors.set(account, cursor);
    for (const device of devices.filter((one) => one.account === account)) {
      checkTree(device, nodes);
      checkKnowsNothingElse(device, nodes);
      checkExcuses(world, device, nodes);
    }
  }
  sharing.quiet(cursors);
}

function checkTree(device: SimDevice, nodes: readonly FeedNode[]): void {
  const paths = pathsOf(nodes);
  const { timeStepMs } = device.features;
  const there = new Map(nodes.map((node) => [paths.get(node.nodeId) ?? '', ofServer(node, timeStepMs)]));
  there.delete('');
  const here = new Map(comparable(device).map((found) => [found.path, ofDisk(found, timeStepMs)]));
  const waiting = nodes.filter(({ nodeId }) => waitsElsewhere(device, nodeId)).map(({ nodeId }) => paths.get(nodeId) ?? '');
  for (const path of new Set([...there.keys(), ...here.keys()])) {
    if (isApart(device, path) || there.get(path) === here.get(path)) continue;
    if (waiting.some((above) => `${path}/`.startsWith(`${above}/`))) continue;
    throw new Violation('I4', `${path}: ${device.name} has ${here.get(path) ?? 'nothing'}, the server ${there.get(path) ?? 'nothing'}`);
  }
}

/** A person has put it into something that cannot be sent. */
function waitsElsewhere(device: SimDevice, node: number): boolean {
  const { index } = device;
  const id = index.byServerNode(node);
  if (id === undefined || id === ROOT) return false;
  const [here, there] = [index.local.get(id), index.remote.get(id)];
  if (here === undefined || there === undefined || (here.parent === there.parent && here.name === there.name)) return false;
  const path = localPath(index, portableNames(device.features), id);
  return path !== null && isApart(device, path);
}

function ofServer({ kind, mode, mtimeUs, digest, target }: FeedNode, timeStepMs: number): string {
  if (kind === 'symlink') return linkText(mtimeUs, target, timeStepMs);
  if (kind === 'folder') return `folder ${mode.toString(8)}`;
  return fileText(mode, mtimeUs, Buffer.from(digest ?? []).toString('hex'), timeStepMs);
}

function ofDisk({ stat, bytes, target }: Found, timeStepMs: number): string {
  const mtimeUs = Math.round(stat.mtimeMs * 1000);
  if (stat.kind === 'symlink') return linkText(mtimeUs, target, timeStepMs);
  if (stat.kind === 'folder') return `folder ${stat.mode.toString(8)}`;
  return fileText(stat.mode, mtimeUs, contentIdOf(bytes), timeStepMs);
}

function linkText(mtimeUs: number, target: string | null, timeStepMs: number): string {
  return `symlink ${timeStepMs < 1 ? mtimeUs : 'any time'} ${target}`;
}

function fileText(mode: number, mtimeUs: number, id: string, timeStepMs: number): string {
  return `file ${mode.toString(8)} ${timeStepMs < 1 ? mtimeUs : 'any time'} ${id.slice(0, 12)}`;
}

/** Also not by name: what the user cannot see any more is forgotten. */
function checkKnowsNothingElse({ name, index }: SimDevice, nodes: readonly FeedNode[]): void {
  const told = new Set(nodes.map(({ nodeId }) => nodeId));
  for (const folders: NodeId[] = [ROOT]; folders.length > 0; ) {
    for (const { id } of index.remote.children(folders.pop() ?? ROOT)) {
      const node = index.remote.get(id);
      if (node === undefined) continue;
      if (!told.has(node.node)) throw new Violation('I4', `${name} takes "${node.name}" for something that its user has on the server`);
      if (node.kind === 'folder') folders.push(id);
    }
  }
}

/** What is kept on one device only has one of the reasons that last, and it is true that this user may not write there. */
function checkExcuses(world: World, device: SimDevice, nodes: readonly FeedNode[]): void {
  const byPath = new Map(Array.from(pathsOf(nodes), ([node, path]) => [path, node]));
  const { userId } = principalOf(device.account, 0);
  const problems = device.index.problems();
  for (const { path, reason } of problems) {
    const isExplained =
      reason !== KEPT_FOR_OTHERS || problems.some((other) => other.reason !== reason && other.path.startsWith(`${path}/`));
    if (PASSING.has(reason) || !isExplained) throw new Violation('I6', `${device.name} is left with ${path}: ${reason}`);
    if (reason !== 'no_permission_remote') continue;
    let above: string | null = path;
    while (above !== null && above !== '' && !byPath.has(above)) above = folderOf(above);
    const role = world.server.books.roleAt(userId, byPath.get(above ?? '') ?? 0);
    if (role !== VIEWER) throw new Violation('I4', `${device.name} says that it may not write ${path}, and it may`);
  }
}
