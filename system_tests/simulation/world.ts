import { folderOf } from '../../Client/sync/disk/disk_paths.ts';
import type { PassOptions, PassReport } from '../../Client/sync/engine.ts';
import type { DiskCall } from '../../Client/sync/testing/memory_disk.ts';
import { ProcessKilled, ShortListing, ShortWrite } from '../../Client/sync/testing/memory_disk.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import { systemError } from '../../Client/sync/testing/memory_disk_volume.ts';
import { AppError } from '../../Models/errors.ts';
import { ROUTES } from '../../Models/routes.ts';
import { seededRandom } from '../../Models/testing/seeded_random.ts';
import { contentIdOf } from './content.ts';
import { Epoch } from './epoch.ts';
import { type Folders, foldersIn } from './folder_shapes.ts';
import {
  type DeviceOptions,
  type DiskFault,
  type History,
  losesPower,
  type NetFault,
  type PassFault,
  type ShareAction,
  type UserAction,
} from './history.ts';
import { type ContentKey, contentKey, Ledger, liveContents } from './ledger.ts';
import { Sharing } from './sharing.ts';
import { type Mutant, REMOTE_ROOT, SimDevice } from './sim_device.ts';
import type { NetworkFault } from './sim_network.ts';
import { principalOf, type SimFolder, type SimServer, ticketOf, type WrapMetadata } from './sim_server.ts';
import { carryOut } from './sim_user.ts';

/** Something that must hold did not. `invariant`: its number in the design, such as `I1`. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly invariant: string;
  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

export type WorldOptions = Pick<History, 'tickMs' | 'devices' | 'names' | 'plannedTogether'> & Partial<Pick<History, 'steps'>>;
export type Plants = { readonly device?: Mutant; readonly server?: WrapMetadata };

const PRIVATE = ['.driftless'];
const BEGIN_MS = Date.UTC(2026, 0, 1);
/** What only some calls can fail with. */
const NO_SPACE_CALLS = new Set(['create', 'file.write', 'mkdir', 'link', 'rename', 'symlink', 'file.sync', 'syncFolder', 'syncAll']);
const OPENING_CALLS = new Set(['open', 'create', 'list', 'syncFolder']);

type RunningPass = { readonly faults: readonly PassFault[]; readonly seen: Map<PassFault, number>; isCutOff: boolean };

/** Actions that write into the file that is there. */
const IN_PLACE: ReadonlySet<UserAction['kind']> = new Set(['write', 'append', 'insert', 'quiet']);

/** The devices of one or two users, the server, the people, and the clock: everything that a history acts on. */
export class World {
  readonly ledger = new Ledger();
  readonly epoch = new Epoch();
  readonly devices: readonly SimDevice[];
  /** What was reached: names of crash points, faults that struck, kinds of conflicts. */
  readonly labels = new Set<string>();
  readonly trace: string[] = [];
  /** Of each device, as they were when all was quiet. */
  readonly folders = new Map<string, Folders>();
  /** Moved files may be found twice until all is quiet: see `quiet`. */
  mayDouble: boolean;
  hasBackup = false; // of the server
  /** Told when a device has sent something. */
  onSent: ((by: SimDevice) => void) | null = null;
  /** A fault had its call, whether it could do anything there or not. */
  reached = false;
  readonly server: SimServer;
  readonly #tickMs: number;
  readonly #isForgetful: boolean; // without birth times nobody knows that a moved file is the same
  readonly #passes = new Map<SimDevice, RunningPass>();
  /** Of each device, what was found in order. `index`: null where it was not looked at. */
  readonly #looked = new Map<SimDevice, { readonly tree: readonly Found[]; readonly index: string | null }>();
  readonly #folder: SimFolder;
  readonly #plants: Plants;
  readonly #names: readonly string[];
  readonly #plannedTogether: number | undefined;
  readonly #losesPower: boolean;
  /** Names; of devices each says whose it is. */
  readonly users: readonly string[];
  readonly userIds: readonly string[];
  /** `null`: there is one user only. */
  readonly sharing: Sharing | null;
  readonly #clock: { nowMs: number };
  #violation: Violation | null = null;

  constructor(history: WorldOptions, folder: SimFolder, plants: Plants, { server, clock, user }: Awaited<ReturnType<SimFolder['server']>>) {
    this.#clock = clock;
    this.users = usersOf(history, user);
    this.userIds = this.users.map((name) => principalOf(name, 0).userId);
    this.#tickMs = history.tickMs;
    this.#folder = folder;
    this.server = server;
    this.#plants = plants;
    this.#isForgetful = history.devices.some(({ birthTimes }) => !birthTimes);
    this.sharing = this.users.length > 1 ? new Sharing({ users: this.users, server: () => this.server, ledger: this.ledger }) : null;
    this.mayDouble = this.#mayAlwaysDouble;
    this.#names = history.names ?? [];
    this.#plannedTogether = history.plannedTogether;
    this.#losesPower = history.steps === undefined || losesPower(history.steps);
    this.devices = history.devices.map((options, number) => this.newDevice(options, number));
  }

  static async open(history: WorldOptions, folder: SimFolder, plants: Plants): Promise<World> {
    const place = await folder.server(plants.server);
    const { server, clock, user } = place;
    clock.nowMs = BEGIN_MS;
    for (const name of usersOf(history, user)) {
      const authorization = `Bearer ${ticketOf(principalOf(name, 0))}`;
      const made = await server.app.inject({
        method: 'POST',
        url: ROUTES.folders,
        headers: { authorization },
        payload: { path: REMOTE_ROOT },
      });
      if (made.statusCode >= 300) throw new Error(`the remote folder cannot be made: ${made.body}`);
    }
    return new World(history, folder, plants, place);
  }

  newDevice(options: DeviceOptions, number: number): SimDevice {
    return new SimDevice({
      number,
      name: this.#names[number] ?? `d${number}`,
      plannedTogether: this.#plannedTogether ?? (number % 2 === 0 ? 2 : undefined), // as one does that has a million new files
      account: this.users[options.user ?? 0] ?? '',
      options,
      now: () => this.#clock.nowMs,
      clock: {
        now: () => this.#clock.nowMs,
        after: (ms, then) => this.#after(ms, then),
        random: () => 0.5,
      },
      server: () => this.server,
      mutant: this.#plants.device ?? {},
      losesPower: this.#losesPower,
      beforeDisk: (device, call) => this.#beforeDisk(device, call),
      beforeNet: (device) => this.#onNet(device, 'before'),
      afterNet: async (device, call) => {
        if (call.route === ROUTES.push) this.onSent?.(device);
        await this.#onNet(device, 'after');
      },
    });
  }

  async close(): Promise<void> {
    for (const device of this.devices) await device.close();
    await this.#folder.done();
  }

  device(number: number): SimDevice {
    const device = this.devices[number % this.devices.length];
    if (device === undefined) throw new RangeError('a world has devices');
    return device;
  }

  /** Who shares sees the same content in several places, and keeps some of it when that ends. */
  get #mayAlwaysDouble(): boolean {
    return this.#isForgetful || this.sharing !== null;
  }

  /** What devices did so far, and the server: as long as it is the same, nothing happens. What a server refuses again and again is nothing. */
  effects(devices = this.devices): number {
    const all = devices.reduce((sum, { effects }) => sum + effects, 0);
    if (this.sharing === null) return all;
    return devices.reduce((sum, { pushes }) => sum - pushes, all) + this.server.books.journalRows(this.userIds);
  }

  /** Nobody waits in real time: what somebody waits for is now. */
  #after(ms: number, then: () => void): () => void {
    const timer = setImmediate(() => {
      this.#clock.nowMs += ms;
      then();
    });
    return () => clearImmediate(timer);
  }

  get nowMs(): number {
    return this.#clock.nowMs;
  }

  pause(ms: number): void {
    this.#clock.nowMs += ms;
  }

  note(what: string): void {
    this.trace.push(what);
  }

  /** What a person does, all in one moment. */
  act(device: SimDevice, action: UserAction): void {
    const before = device.user.walk(PRIVATE);
    const everywhere = device.user.walk([]);
    const done = carryOut(device.user, action);
    const after = device.user.walk(PRIVATE);
    const touched = done.length === 0 && after.length > before.length ? [action.path, 'to' in action ? action.to : action.path] : done; // folders on the way
    this.note(`${device.name} user ${JSON.stringify(action)}${touched.length === 0 ? ': not possible' : ''}`);
    if (touched.length === 0) return;
    const live = liveContents(before);
    this.sharing?.acted(device, { before, after, paths: touched });
    const stays = this.sharing?.stays(device) ?? (() => false);
    this.ledger.observe(live, liveContents(after), { what: JSON.stringify(action), stays });
    if (IN_PLACE.has(action.kind)) this.#changedByAllNames(action.path, everywhere, stays);
    if (action.kind === 'move' && isEdit(device, action.to, before, after)) this.#movedOver(action.to, after);
    for (const label of this.epoch.acted(device.number, touched, action, after)) this.labels.add(label);
    for (const path of touched) {
      device.hints.add(folderOf(path));
      device.onChange?.(path);
    }
  }

  /** A file with several names is changed under all of them, also those that are on their way somewhere at this moment. */
  #changedByAllNames(path: string, before: readonly Found[], stays: (key: ContentKey) => boolean): void {
    const file = before.find((found) => found.path === path);
    const key = file === undefined ? null : contentKey(file);
    const others = before.filter((found) => found.path !== path && found.stat.ino === file?.stat.ino);
    if (key !== null && others.length > 0 && !stays(key)) this.ledger.takenEverywhere(key);
  }

  #movedOver(to: string, after: readonly Found[]): void {
    for (const found of after) {
      const key = contentKey(found);
      if (key !== null && (found.path === to || found.path.startsWith(`${to}/`))) this.ledger.mayBeTwice(key);
    }
  }

  /** What a user does on the server. */
  async share(action: ShareAction): Promise<void> {
    const done = (await this.sharing?.act(action)) ?? false;
    this.note(`user ${action.by} ${JSON.stringify(action)}${done === false ? ': not possible' : ''}`);
    if (typeof done === 'string') this.#violation ??= new Violation('I1', done);
    if (done === true) this.labels.add(`share: ${action.kind}`);
  }

  /** @returns `null`: the process did not survive it, or it could not go on */
  async pass(device: SimDevice, hinted: boolean, faults: readonly PassFault[]): Promise<PassReport | null> {
    if (device.busy) return null;
    try {
      return await this.#pass(device, hinted ? { folders: [...device.hints] } : {}, faults);
    } catch (error) {
      if (error instanceof AppError) return null;
      throw error;
    }
  }

  /** As a loop of the device's own asks for it. @throws AppError; `ProcessKilled` */
  async livePass(device: SimDevice, options: PassOptions, faults: readonly PassFault[]): Promise<PassReport> {
    const report = await this.#pass(device, options, faults);
    if (report === null) throw new ProcessKilled('the process was killed');
    return report;
  }

  async #pass(device: SimDevice, options: PassOptions, faults: readonly PassFault[]): Promise<PassReport | null> {
    device.busy = true;
    this.#passes.set(device, { faults, seen: new Map(), isCutOff: false });
    const calls = device.diskCalls;
    const had = device.events.length;
    this.sharing?.begin(device);
    try {
      const report = await device.pass(options);
      this.note(`${device.name} pass ${JSON.stringify(report)} disk calls ${device.diskCalls - calls}`);
      return report;
    } catch (error) {
      if (!(error instanceof AppError)) throw unexpected(error, device);
      this.note(`${device.name} pass failed: ${error.code} ${error.message}`);
      throw error;
    } finally {
      for (const event of device.events.slice(had)) this.#noteEvent(device, event);
      this.#passes.delete(device);
      device.busy = false;
      const shown = this.sharing?.end(device) ?? null;
      if (shown !== null) this.#violation ??= new Violation('shown', shown);
      this.checkAlways();
    }
  }

  /** A pass that finds an empty folder where the synced one was. */
  async unmounted(device: SimDevice): Promise<void> {
    if (!device.knowsRoot) return;
    this.labels.add('unmounted');
    this.note(`${device.name} is not mounted`);
    const { effects } = device;
    device.unmount();
    await this.pass(device, false, []);
    device.mount();
    if (device.effects !== effects) throw new Violation('I11', `${device.name} did something while its folder was not there`);
  }

  async kill(device: SimDevice): Promise<void> {
    if (device.busy) return;
    this.note(`${device.name} killed`);
    await device.kill();
  }

  async cutPower(device: SimDevice, seed: number): Promise<void> {
    if (device.busy) return;
    this.note(`${device.name} power cut`);
    await device.cutPower(seededRandom(seed));
    this.checkAlways();
  }

  /** From here on something older is there again: deleted files may come back, and be there twice; lost may be none. */
  loosen(): void {
    this.epoch.loosen();
    this.mayDouble = true;
    if (this.sharing !== null) this.sharing.mayKeepAll = true;
  }

  /** Everybody has the same: what there is twice by now was to be expected, and nothing more is. */
  quiet(): void {
    const tree = this.device(0).user.walk(PRIVATE);
    this.ledger.expect(liveContents(tree));
    this.epoch.begin(tree);
    for (const { name, user } of this.devices) this.folders.set(name, foldersIn(user.walk(PRIVATE)));
    this.mayDouble = this.#mayAlwaysDouble;
  }

  /** What must hold at every moment, also right after a crash. */
  checkAlways(): void {
    if (this.#violation !== null) throw this.#violation;
    const wrong = this.server.books.glance(this.userIds);
    if (wrong !== null) throw new Violation('I14', wrong);
    for (const device of this.devices) this.#checkDevice(device);
  }

  /** What is as it was when it was looked at last is as well as it was then. */
  #checkDevice(device: SimDevice): void {
    const tree = device.user.walk(PRIVATE);
    const isIdle = !device.busy && device.isRunning;
    const index = isIdle ? device.indexState : null;
    const before = this.#looked.get(device);
    const isSame = before !== undefined && sameTree(before.tree, tree);
    if (!isSame) this.#checkFabricated(device, tree);
    if (isIdle && !(isSame && before.index === index)) this.#checkAncestor(device, tree);
    this.#looked.set(device, { tree, index });
  }

  #checkFabricated(device: SimDevice, tree: readonly Found[]): void {
    for (const found of tree) {
      const key = contentKey(found);
      if (key === null || !this.ledger.isFabricated(key)) continue;
      const shown = found.bytes.subarray(0, 40).toString();
      throw new Violation(
        'I3',
        `${device.name} has at ${found.path} what nobody wrote: ${found.bytes.length} bytes, ${JSON.stringify(shown)}`,
      );
    }
  }

  /** What is recorded as agreed in a certain state of the file is what the file holds in that state. */
  #checkAncestor(device: SimDevice, tree: readonly Found[]): void {
    const { index } = device;
    const byIdentity = new Map(tree.map((found) => [found.stat.ino, found]));
    const folders = [1];
    for (const folder of folders) {
      for (const child of index.ancestor.children(folder)) {
        if (child.kind === 'folder') folders.push(child.id);
        if (child.kind !== 'file') continue;
        const seen = index.ancestor.get(child.id)?.seen;
        const there = seen === undefined ? undefined : byIdentity.get(seen.ino);
        if (seen === undefined || there === undefined || there.stat.kind !== 'file' || seen.racy) continue;
        const same = seen.size === there.stat.size && seen.mtimeMs === there.stat.mtimeMs && seen.ctimeMs === there.stat.ctimeMs;
        if (same && child.content !== contentIdOf(there.bytes)) {
          throw new Violation(
            'I9',
            `${device.name} takes ${there.path} for ${child.content?.slice(0, 12)} in the state in which it is now, and that it is not`,
          );
        }
      }
    }
  }

  #beforeDisk(device: SimDevice, call: DiskCall): void {
    this.#clock.nowMs += this.#tickMs;
    const pass = this.#passes.get(device);
    if (pass === undefined) return;
    for (const fault of pass.faults) {
      if (fault.on !== 'disk' || (fault.name !== null && fault.name !== call.name)) continue;
      const seen = (pass.seen.get(fault) ?? 0) + 1;
      pass.seen.set(fault, seen);
      if (seen === fault.nth) this.reached = true;
      if (strikes(fault, seen)) this.#strikeDisk(device, call, fault);
    }
  }

  #strikeDisk(device: SimDevice, call: DiskCall, { effect }: DiskFault): void {
    const where = `${device.name} ${call.name} ${call.path}${call.to === undefined ? '' : ` ${call.to}`}`;
    switch (effect.kind) {
      case 'error': {
        const { code } = effect;
        if (code === 'ENOSPC' && !NO_SPACE_CALLS.has(call.name)) return;
        if (code === 'EMFILE' && !OPENING_CALLS.has(call.name)) return;
        this.#label(`${code} at ${call.name}`, where);
        throw systemError(code, call.name, call.path);
      }
      case 'short_write':
        if (call.name !== 'file.write') return;
        this.#label('short write', where);
        throw new ShortWrite(effect.bytes);
      case 'hide':
        if (call.name !== 'list') return;
        this.#label('a listing leaves something out', where);
        throw new ShortListing(effect.share);
      case 'kill':
        this.#label(`kill at ${call.name}`, where);
        this.labels.add(`crash at ${call.name}`);
        device.killInside();
        break;
      case 'power':
        this.#label(`power cut at ${call.name}`, where);
        this.labels.add(`crash at ${call.name}`);
        device.powerSeed = effect.seed;
        device.killInside();
        break;
      case 'user':
        this.#label(`user at ${call.name}`, where);
        this.#userInside(effect.device, effect.action);
        break;
      default:
        throw new Error(`unexpected effect: ${JSON.stringify(effect satisfies never)}`);
    }
  }

  async #onNet(device: SimDevice, when: 'before' | 'after'): Promise<NetworkFault | null> {
    this.sharing?.sample();
    const pass = this.#passes.get(device);
    if (pass === undefined) return null;
    let found: NetworkFault | null = pass.isCutOff ? { kind: 'drop' } : null;
    for (const fault of pass.faults) {
      if (fault.on !== 'net' || fault.when !== when) continue;
      const seen = (pass.seen.get(fault) ?? 0) + 1;
      pass.seen.set(fault, seen);
      if (seen === fault.nth) this.reached = true;
      if (seen === fault.nth) found = (await this.#strikeNet(device, fault)) ?? found;
    }
    if (found?.kind === 'partition') pass.isCutOff = true;
    return found;
  }

  async #strikeNet(device: SimDevice, { effect, when }: NetFault): Promise<NetworkFault | null> {
    this.#label(`${effect.kind} ${when} a request`, device.name);
    switch (effect.kind) {
      case 'kill':
        device.killInside();
        return null;
      case 'user':
        this.#userInside(effect.device, effect.action);
        return null;
      case 'pass':
        await this.pass(this.device(effect.device), false, effect.faults);
        return null;
      case 'share':
        await this.share(effect.action);
        return null;
      default:
        return effect;
    }
  }

  /** Inside a call nothing may be thrown but what the call throws: what is found is kept until the pass is over. */
  #userInside(number: number, action: UserAction): void {
    if (action.kind === 'move') this.mayDouble = true; // what moves while it is looked at may be missed in one place and found in the other later
    try {
      this.act(this.device(number), action);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#violation ??= error;
    }
  }

  #label(label: string, where: string): void {
    this.labels.add(label);
    this.note(`  ${label}: ${where}`);
  }

  #noteEvent(device: SimDevice, event: SimDevice['events'][number]): void {
    this.note(`  ${device.name} ${JSON.stringify(event)}`);
    if (event.type === 'done') this.labels.add(`${event.done.direction} ${event.done.kind}`);
    else this.labels.add(event.type === 'problem' ? `problem ${event.reason}` : event.type);
  }
}

function sameTree(before: readonly Found[], now: readonly Found[]): boolean {
  return before.length === now.length && before.every((found, at) => sameFound(found, now[at]));
}

/** Bytes of a file are never changed, but replaced. */
function sameFound({ path, stat, bytes, target }: Found, now: Found | undefined): boolean {
  return (
    bytes === now?.bytes &&
    path === now.path &&
    target === now.target &&
    stat.kind === now.stat.kind &&
    stat.ino === now.stat.ino &&
    stat.mtimeMs === now.stat.mtimeMs &&
    stat.ctimeMs === now.stat.ctimeMs
  );
}

/** What came to this path replaced something, or counts as an edit of what the device knows there: of no leaf, if it is a folder. */
function isEdit(device: SimDevice, path: string, before: readonly Found[], after: readonly Found[]): boolean {
  if (before.some((found) => found.path === path)) return true;
  return after.find((found) => found.path === path)?.stat.kind !== 'folder' && device.expectsLeaf(path);
}

function usersOf({ devices }: WorldOptions, user: string): string[] {
  return devices.some((device) => device.user === 1) ? [user, `${user}guest`] : [user];
}

function strikes({ nth, effect }: DiskFault, seen: number): boolean {
  return effect.kind === 'error' ? seen >= nth && seen < nth + effect.times : seen === nth;
}

function unexpected(error: unknown, device: SimDevice): unknown {
  if (error instanceof Violation || error instanceof ProcessKilled) return error;
  const { stack, message } = error instanceof Error ? error : { stack: '', message: String(error) };
  return new Violation('errors', `a pass of ${device.name} threw what is no AppError: ${message}\n${stack ?? ''}`);
}
