import { type NodeId, ROOT } from '../../Client/sync/core/tree.ts';
import type { AgreedNode, SyncIndex } from '../../Client/sync/index/sync_index.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import { comparable, describe, isApart, keptApart, toldApart } from './comparable.ts';
import { foldersIn, shapesOf } from './folder_shapes.ts';
import { contentKey, liveContents } from './ledger.ts';
import { checkShared } from './settle_shared.ts';
import { REMOTE_ROOT, type SimDevice } from './sim_device.ts';
import { principalOf } from './sim_server.ts';
import { Violation, type World } from './world.ts';

const ROUNDS_MAX = 50;
const ROUND_MS = 5_000;
const PATIENT_ROUND_MS = 120_000; // past the longest wait before another try
const PRIVATE = ['.driftless'];
const CONFLICT = / \(conflict from [^()]* [0-9a-f]{6}\)/g;

/** Everybody syncs until nobody changes anything; then all that must hold is checked, and a new epoch begins. */
export async function settle(world: World): Promise<void> {
  for (const label of world.epoch.labels()) world.labels.add(label);
  for (const { name, user } of world.devices) {
    for (const shape of shapesOf(world.folders.get(name) ?? new Map(), foldersIn(user.walk(PRIVATE)))) world.labels.add(shape);
  }
  await reachQuiet(world, world.devices);
  for (const device of world.devices) {
    const problems = device.index.problems();
    if (problems.length > 0) world.note(`${device.name} problems ${JSON.stringify(problems)}`);
  }
  if (world.sharing === null) checkAlone(world);
  else await checkShared(world, world.sharing, world.devices);
  checkServer(world);
  world.quiet();
  const apart = world.devices.some((device) => comparable(device).length < device.user.walk(PRIVATE).length);
  if (apart) world.epoch.loosen(); // what waits on one device may come to the others whenever its way is free
}

function checkAlone(world: World): void {
  const trees = world.devices.map((device) => ({ device, tree: comparable(device) }));
  for (const { device, tree } of trees) checkLoss(world, device, tree);
  checkSame(trees);
  checkCopies(world, trees);
  checkEpoch(world, trees);
}

function checkServer(world: World): void {
  const wrong = world.server.books.audit(world.userIds);
  if (wrong !== null) throw new Violation('I14', wrong);
  for (const device of world.devices) {
    for (const agreed of agreedBy(device.index)) {
      const lacking = world.server.books.versionProblem(world.userIds, agreed);
      if (lacking !== null) throw new Violation('I9', `${device.name} agreed on ${agreed.name}: ${lacking}`);
    }
  }
}

function agreedBy(index: SyncIndex): AgreedNode[] {
  const agreed: AgreedNode[] = [];
  for (const folders: NodeId[] = [ROOT]; folders.length > 0; ) {
    for (const { id } of index.ancestor.children(folders.pop() ?? ROOT)) {
      const node = index.ancestor.get(id);
      if (node === undefined) continue;
      agreed.push(node);
      if (node.kind === 'folder') folders.push(id);
    }
  }
  return agreed;
}

/** A device that was never there before gets what all the others have. */
export async function checkNewcomer(world: World): Promise<void> {
  for (const user of world.users.keys()) {
    const plain = {
      foldsCase: false,
      foldsUnicode: false,
      birthTimes: true,
      timeStepMs: 0.001,
      skewMs: 0,
      user: user === 0 ? 0 : 1,
    } as const;
    const newcomer = world.newDevice(plain, world.devices.length + user);
    try {
      await reachQuiet(world, [newcomer]);
      const [first] = world.devices;
      if (world.sharing !== null) await checkShared(world, world.sharing, [newcomer]);
      else if (first !== undefined) checkSame([first, newcomer].map((device) => ({ device, tree: comparable(device) })));
    } finally {
      await newcomer.close();
    }
  }
}

async function reachQuiet(world: World, devices: readonly SimDevice[]): Promise<void> {
  let quietRounds = 0;
  for (let round = 1; quietRounds < 1; round += 1) {
    if (round > ROUNDS_MAX) throw new Violation('I6', `not quiet after ${ROUNDS_MAX} rounds`);
    const before = world.effects(devices);
    world.pause(round > 2 ? PATIENT_ROUND_MS : ROUND_MS);
    for (const device of devices) {
      if ((await world.pass(device, false, [])) === null)
        throw new Violation('I6', `${device.name} cannot sync although nothing is in its way`);
      if (device.engine.held.length > 0) await approve(world, device);
    }
    quietRounds = world.effects(devices) === before ? quietRounds + 1 : 0;
  }
  for (const user of world.users) {
    const nodes = await serverNodes(world, user);
    for (const device of devices.filter(({ account }) => account === user)) {
      checkIdle(device);
      checkKnown(device, nodes, world.server.books.sharedRoots(principalOf(user, 0).userId));
    }
  }
}

async function serverNodes({ server }: World, user: string): Promise<FeedNode[]> {
  const parts = await Array.fromAsync(server.metadata.feed(principalOf(user, 0), { root: REMOTE_ROOT, cursor: null }));
  return parts.flatMap((part) => ('present' in part ? part.present : []));
}

/** What a device holds for the state of the server is that: a change that was not told to it was its own. @param shared have two versions: of the folder, and of its place */
function checkKnown({ name, index }: SimDevice, nodes: readonly FeedNode[], shared: ReadonlySet<number>): void {
  for (const node of nodes) {
    const id = index.byServerNode(node.nodeId);
    const known = id === undefined ? undefined : index.remote.get(id);
    if (known === undefined || id === ROOT) continue; // left out here; what lacks by mistake is told by the trees
    const content = node.digest === null ? (node.target ?? '') : Buffer.from(node.digest).toString('hex');
    const [there, here] = [{ ...node, content }, known].map(({ name, kind, content, mode, mtimeUs, version }) => [
      ...[name, kind, content, mode, mtimeUs],
      shared.has(node.nodeId) ? null : version,
    ]);
    if (JSON.stringify(there) !== JSON.stringify(here))
      throw new Violation('I4', `${name} takes ${JSON.stringify(here)} for what the server has: ${JSON.stringify(there)}`);
  }
}

async function approve(world: World, device: SimDevice): Promise<void> {
  world.labels.add('approved');
  world.note(`${device.name} approves ${JSON.stringify(device.engine.held)}`);
  await device.engine.approve();
  device.effects += 1;
}

/** Nothing is left to do, and nothing was left lying about. */
function checkIdle(device: SimDevice): void {
  const intents = device.index.intents();
  if (intents.length > 0) throw new Violation('I5', `${device.name} has intents left: ${JSON.stringify(intents)}`);
  const left = device.user.walk().filter(({ path }) => path.startsWith('.driftless/tmp/'));
  if (left.length > 0) throw new Violation('I5', `${device.name} has left ${left.map(({ path }) => path).join(', ')}`);
}

function checkLoss(world: World, device: SimDevice, tree: readonly Found[]): void {
  const live = liveContents(device.user.walk(PRIVATE));
  // what has to wait here is whole on the others
  const apart = world.devices.flatMap((other) =>
    toldApart(device).size > 0 ? [...liveContents(other.user.walk(PRIVATE)).keys()] : keptApart(other),
  );
  for (const key of apart) live.set(key, 1);
  const missing = world.ledger.missing(live);
  if (missing.length > 0)
    throw new Violation('I1', `${device.name} has lost ${missing.join(', ')}; it has ${tree.map(({ path }) => path).join(', ')}`);
}

function checkSame(trees: readonly { device: SimDevice; tree: readonly Found[] }[]): void {
  const [first, ...others] = trees;
  if (first === undefined) return;
  for (const other of others) {
    const step = Math.max(first.device.features.timeStepMs, other.device.features.timeStepMs);
    const [one, two] = [first, other].map(({ tree }) => new Map(tree.map((found) => [found.path, describe(found, step)])));
    for (const path of new Set([...(one?.keys() ?? []), ...(two?.keys() ?? [])])) {
      if (isApart(first.device, path) || isApart(other.device, path) || one?.get(path) === two?.get(path)) continue;
      throw new Violation(
        'I4',
        `${path}: ${first.device.name} has ${one?.get(path) ?? 'nothing'}, ${other.device.name} has ${two?.get(path) ?? 'nothing'}`,
      );
    }
  }
}

/** Conflict copies have one suffix, and nothing was doubled. */
function checkCopies(world: World, trees: readonly { device: SimDevice; tree: readonly Found[] }[]): void {
  for (const { device, tree } of trees) {
    for (const { path } of tree) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      if ((name.match(CONFLICT) ?? []).length > 1)
        throw new Violation('I8', `${device.name} has a conflict copy of a conflict copy: ${path}`);
    }
    if (!world.mayDouble) checkDoubles(world, device, tree);
  }
}

function checkDoubles(world: World, device: SimDevice, tree: readonly Found[]): void {
  for (const [key, count] of liveContents(tree)) {
    if (count <= Math.max(world.ledger.placesOf(key), world.epoch.movedAndDeleted(key))) continue;
    const paths = tree.filter((found) => contentKey(found) === key).map(({ path }) => path);
    throw new Violation('I8', `${device.name} has ${world.ledger.nameOf(key)} ${count} times: ${paths.join(', ')}`);
  }
}

/** What is known of the outcome from who did what. */
function checkEpoch(world: World, trees: readonly { device: SimDevice; tree: readonly Found[] }[]): void {
  const { epoch } = world;
  const only = epoch.onlyPerson();
  for (const { device, tree } of trees) {
    const paths = new Set(tree.map(({ path }) => path));
    for (const path of epoch.mustBeAbsent()) {
      if (paths.has(path) && !isApart(device, path)) throw new Violation('I2', `${device.name} has ${path} again`);
    }
    if (only !== null) checkSequential(world, device, tree, only);
    const copies = tree.filter(({ path }) => path.match(CONFLICT) !== null && !epoch.knewName(path));
    if (epoch.isDisjoint && copies.length > 0)
      throw new Violation('I7', `${device.name} has ${copies.map(({ path }) => path).join(', ')}, and nobody disagreed`);
  }
}

/** Only one person did anything: everybody has what that person left. */
function checkSequential(world: World, device: SimDevice, tree: readonly Found[], only: { device: number; tree: readonly Found[] }): void {
  const actor = world.device(only.device);
  const expected = new Map(only.tree.map((found) => [found.path, contentKey(found) ?? 'folder']));
  const actual = new Map(tree.map((found) => [found.path, contentKey(found) ?? 'folder']));
  for (const path of new Set([...expected.keys(), ...actual.keys()])) {
    if (expected.get(path) === actual.get(path) || isApart(device, path) || isApart(actor, path)) continue;
    const invariant = expected.has(path) ? 'I7' : 'I2';
    throw new Violation(
      invariant,
      `${path}: ${actor.name} alone did anything and left ${expected.get(path) ?? 'nothing'}; ${device.name} has ${actual.get(path) ?? 'nothing'}`,
    );
  }
}
