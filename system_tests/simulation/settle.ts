import { type NodeId, ROOT, type TreeNode } from '../../Client/sync/core/tree.ts';
import type { AgreedNode, SyncIndex } from '../../Client/sync/sync_index.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import { foldName } from '../../Models/names.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import { foldersIn, shapesOf } from './folder_shapes.ts';
import { type ContentKey, contentKey, liveContents } from './ledger.ts';
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
  const trees = world.devices.map((device) => ({ device, tree: comparable(device) }));
  for (const { device, tree } of trees) checkLoss(world, device, tree);
  checkSame(trees);
  checkCopies(world, trees);
  checkEpoch(world, trees);
  checkServer(world);
  world.quiet();
  const apart = trees.some(({ device, tree }) => tree.length < device.user.walk(PRIVATE).length);
  if (apart) world.epoch.loosen(); // what waits on one device may come to the others whenever its way is free
}

function checkServer(world: World): void {
  const wrong = world.server.books.audit(world.userId);
  if (wrong !== null) throw new Violation('I14', wrong);
  for (const device of world.devices) {
    for (const agreed of agreedBy(device.index)) {
      const lacking = world.server.books.versionProblem(world.userId, agreed);
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
  const plain = { foldsCase: false, foldsUnicode: false, birthTimes: true, timeStepMs: 0.001, skewMs: 0 };
  const newcomer = world.newDevice(plain, world.devices.length);
  try {
    await reachQuiet(world, [newcomer]);
    const [first] = world.devices;
    if (first !== undefined) checkSame([first, newcomer].map((device) => ({ device, tree: comparable(device) })));
  } finally {
    await newcomer.close();
  }
}

async function reachQuiet(world: World, devices: readonly SimDevice[]): Promise<void> {
  let quietRounds = 0;
  for (let round = 1; quietRounds < 1; round += 1) {
    if (round > ROUNDS_MAX) throw new Violation('I6', `not quiet after ${ROUNDS_MAX} rounds`);
    const before = effects(devices);
    world.pause(round > 2 ? PATIENT_ROUND_MS : ROUND_MS);
    for (const device of devices) {
      if ((await world.pass(device, false, [])) === null)
        throw new Violation('I6', `${device.name} cannot sync although nothing is in its way`);
      if (device.engine.held.length > 0) await approve(world, device);
    }
    quietRounds = effects(devices) === before ? quietRounds + 1 : 0;
  }
  const nodes = await serverNodes(world);
  for (const device of devices) {
    checkIdle(device);
    checkKnown(device, nodes);
  }
}

async function serverNodes({ server, user }: World): Promise<FeedNode[]> {
  const parts = await Array.fromAsync(server.metadata.feed(principalOf(user, 0), { root: REMOTE_ROOT, cursor: null }));
  return parts.flatMap((part) => ('present' in part ? part.present : []));
}

/** What a device holds for the state of the server is that: a change that was not told to it was its own. */
function checkKnown({ name, index }: SimDevice, nodes: readonly FeedNode[]): void {
  for (const node of nodes) {
    const id = index.byServerNode(node.nodeId);
    const known = id === undefined ? undefined : index.remote.get(id);
    if (known === undefined || id === ROOT) continue; // left out here; what lacks by mistake is told by the trees
    const content = node.digest === null ? (node.target ?? '') : Buffer.from(node.digest).toString('hex');
    const [there, here] = [{ ...node, content }, known].map((one) => [one.name, one.kind, one.content, one.mode, one.mtimeUs, one.version]);
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

function effects(devices: readonly SimDevice[]): number {
  return devices.reduce((sum, device) => sum + device.effects, 0);
}

/** Nothing is left to do, and nothing was left lying about. */
function checkIdle(device: SimDevice): void {
  const intents = device.index.intents();
  if (intents.length > 0) throw new Violation('I5', `${device.name} has intents left: ${JSON.stringify(intents)}`);
  const left = device.user.walk().filter(({ path }) => path.startsWith('.driftless/tmp/'));
  if (left.length > 0) throw new Violation('I5', `${device.name} has left ${left.map(({ path }) => path).join(', ')}`);
}

/** What is to be the same everywhere: all but what this device cannot have in common, and says so. */
function comparable(device: SimDevice): Found[] {
  const tree = device.user.walk(PRIVATE);
  const told = toldApart(device);
  const apart = tree.filter(({ path }) => told.has(path) || isStuck(tree, path)).map(({ path }) => path);
  return tree.filter(({ path }) => !apart.some((other) => path === other || path.startsWith(`${other}/`)));
}

/** What this device says that it cannot have in common with the others, and what waits for that. */
function toldApart(device: SimDevice): Set<string> {
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

/** Contents that are only on one device, and it says why. */
function keptApart(device: SimDevice): ContentKey[] {
  const common = new Set(comparable(device).map(({ path }) => path));
  return device.user
    .walk(PRIVATE)
    .filter(({ path }) => !common.has(path))
    .flatMap((found) => contentKey(found) ?? []);
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

function isApart(device: SimDevice, path: string): boolean {
  return [...toldApart(device)].some((told) => path === told || path.startsWith(`${told}/`)) || !isCommon(device, path);
}

function isCommon(device: SimDevice, path: string): boolean {
  const tree = device.user.walk(PRIVATE);
  const parts = path.split('/');
  return !parts.some((_, depth) => isStuck(tree, parts.slice(0, depth + 1).join('/')));
}

function describe(found: Found, timeStepMs: number): string {
  const { kind, mode, mtimeMs } = found.stat;
  const content = contentKey(found) ?? '';
  if (kind === 'symlink') return `symlink ${content}`;
  const time = timeStepMs < 1 ? Math.round(mtimeMs * 1000) : 'any time';
  return kind === 'folder' ? `folder ${mode.toString(8)}` : `file ${mode.toString(8)} ${time} ${content.slice(0, 12)}`;
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
    if (count <= world.ledger.placesOf(key)) continue;
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
