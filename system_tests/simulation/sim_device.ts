import { hash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../Client/sync/clock.ts';
import type { DiskFeatures } from '../../Client/sync/disk/disk.ts';
import { hashLocal } from '../../Client/sync/disk/hash_local.ts';
import { openLocalTree } from '../../Client/sync/disk/local_tree.ts';
import { portableNames } from '../../Client/sync/disk/portable_names.ts';
import { createEngine, type Engine, type EngineEvent, type PassOptions, type PassReport } from '../../Client/sync/engine.ts';
import type { SyncIndex } from '../../Client/sync/index/sync_index.ts';
import type { LiveDeps } from '../../Client/sync/live.ts';
import { nodeAt } from '../../Client/sync/node_at.ts';
import { type HttpRemoteOptions, openHttpRemote } from '../../Client/sync/remote/http_remote.ts';
import type { Remote } from '../../Client/sync/remote/remote.ts';
import { openIgnoreRules } from '../../Client/sync/scan/ignore_rules.ts';
import { type DiskCall, type MemoryDisk, openMemoryDisk, ProcessKilled } from '../../Client/sync/testing/memory_disk.ts';
import { type OtherProgram, otherProgram } from '../../Client/sync/testing/memory_disk_user.ts';
import { MemoryVolume } from '../../Client/sync/testing/memory_disk_volume.ts';
import { ROUTES } from '../../Models/routes.ts';
import { seededRandom } from '../../Models/testing/seeded_random.ts';
import type { DeviceOptions } from './history.ts';
import { SimIndexFile } from './sim_index.ts';
import { type NetworkCall, openSimNetwork, type SimNetwork } from './sim_network.ts';
import { principalOf, type SimServer, ticketOf } from './sim_server.ts';

export type DeviceDeps = {
  readonly number: number;
  readonly name: string;
  readonly plannedTogether: number | undefined;
  readonly account: string; // name of the user
  readonly options: DeviceOptions;
  readonly now: () => number;
  readonly clock: Clock;
  readonly server: () => SimServer;
  readonly mutant: Mutant;
  readonly losesPower: boolean;
  readonly beforeDisk: (device: SimDevice, call: DiskCall) => void;
  readonly beforeNet: (device: SimDevice, call: NetworkCall) => ReturnType<Parameters<typeof openSimNetwork>[0]['before']>;
  readonly afterNet: (device: SimDevice, call: NetworkCall) => Promise<void>;
};

/** Stands between the engine and what it is given, to plant a mistake. */
export type Mutant = {
  readonly disk?: (disk: MemoryDisk) => MemoryDisk;
  readonly index?: (index: SyncIndex) => SyncIndex;
  readonly http?: (http: SimNetwork) => SimNetwork;
  readonly remote?: (remote: Remote) => Remote;
  readonly engine?: (engine: Engine) => Engine;
  readonly claimState?: () => Promise<boolean>;
  readonly live?: (deps: LiveDeps) => LiveDeps;
};

type Process = {
  readonly disk: MemoryDisk;
  readonly index: SyncIndex;
  readonly network: SimNetwork;
  readonly engine: Engine;
};

type ManifestCache = HttpRemoteOptions['cache'];

/** Synced by all. */
export const REMOTE_ROOT = '/sync';
const MUTATING: ReadonlySet<DiskCall['name']> = new Set([
  'create',
  'link',
  'rename',
  'unlink',
  'mkdir',
  'rmdir',
  'symlink',
  'setMode',
  'setTimes',
]);

/** One device: a disk that outlives everything, an index that outlives the process, and a process that can be killed. */
export class SimDevice {
  readonly number: number;
  readonly name: string;
  readonly volume: MemoryVolume;
  readonly user: OtherProgram;
  readonly events: EngineEvent[] = [];
  readonly #deps: DeviceDeps;
  readonly #indexFile: SimIndexFile;
  #process: Process | null = null;
  readonly #manifests = memoryCache();
  #backup: Uint8Array | null = null;
  #mounted: MemoryVolume['root'] | null = null;
  #states = 0;
  #clockMs = 0; // by how much its clock was set
  /** Changes of the synced tree by the engine, and pushes, so far. */
  effects = 0;
  pushes = 0;
  diskCalls = 0;
  busy = false;
  hasLostPower = false;
  /** Set before the process is killed: the power goes with it. */
  powerSeed: number | null = null;
  /** Folders in which something was changed since the last pass: what a watcher would tell. */
  readonly hints = new Set<string>();
  /** Told of each change in the synced tree, whoever makes it; `null`: nobody watches. */
  onChange: ((path: string) => void) | null = null;

  constructor(deps: DeviceDeps) {
    this.#deps = deps;
    this.#indexFile = new SimIndexFile(deps.losesPower);
    this.number = deps.number;
    this.name = deps.name;
    const { options } = deps;
    this.volume = new MemoryVolume({ ...options, now: () => this.#fileTime(), device: deps.number + 1 });
    this.user = otherProgram(this.volume);
  }

  /** As Date.now: whole milliseconds. */
  now(): number {
    return Math.floor(this.#fileTime());
  }

  /** As the system stamps files: finer than that. */
  #fileTime(): number {
    return this.#deps.now() + this.#deps.options.skewMs + this.#clockMs;
  }

  get mutant(): Mutant {
    return this.#deps.mutant;
  }

  get account(): string {
    return this.#deps.account;
  }

  get isRunning(): boolean {
    return this.#process !== null;
  }

  get index(): SyncIndex {
    return this.#started().index;
  }

  /** Another one each time that anything was written to the index. */
  get indexState(): string {
    return this.#indexFile.state;
  }

  get engine(): Engine {
    return this.#started().engine;
  }

  get network(): SimNetwork {
    return this.#started().network;
  }

  get features(): DiskFeatures {
    const { foldsCase, foldsUnicode, birthTimes, timeStepMs } = this.#deps.options;
    return { hardLinks: true, foldsCase, foldsUnicode, birthTimes, permissions: true, symlinks: true, anyName: true, timeStepMs };
  }

  /** @returns `null`: the process was killed meanwhile */
  async pass(options: PassOptions): Promise<PassReport | null> {
    const process = this.#started();
    this.hints.clear();
    try {
      const report = await Promise.race([process.engine.pass(options), this.#afterDeath(process)]);
      return report;
    } catch (error) {
      if (process.disk.isDead) return null;
      throw error;
    } finally {
      if (process.disk.isDead) await this.#buried();
      else await process.network.settled();
    }
  }

  async #buried(): Promise<void> {
    await this.kill();
    if (this.powerSeed !== null) this.#losePower(seededRandom(this.powerSeed));
    this.powerSeed = null;
  }

  /** Everything of the process ends here and now; the index stays as its last transaction left it. */
  async kill(): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    this.#process = null;
    process.disk.kill();
    await process.network.cut();
    process.index.close();
    this.hints.clear();
  }

  /** The process dies within the call that is being made. */
  killInside(): never {
    this.#process?.disk.kill();
    throw new ProcessKilled('the process was killed');
  }

  async cutPower(random: () => number): Promise<void> {
    await this.kill();
    this.#losePower(random);
  }

  #losePower(random: () => number): void {
    this.hasLostPower = true;
    this.volume.cutPower(random);
    this.#indexFile.cutPower(random);
  }

  /** As when the file system that is mounted here goes: an empty folder is left. */
  unmount(): void {
    this.#mounted ??= this.volume.root;
    this.volume.root = new MemoryVolume({ ...this.#deps.options, now: () => this.#fileTime() }).root;
  }

  mount(): void {
    if (this.#mounted !== null) this.volume.root = this.#mounted;
    this.#mounted = null;
  }

  setClock(byMs: number): void {
    this.#clockMs += byMs;
  }

  /** It knows that the folder which was synced is this one. */
  get knowsRoot(): boolean {
    return this.index.setting('root_identity') !== undefined;
  }

  /** Whatever leaf it finds at this path counts as what it knows there, edited. */
  expectsLeaf(path: string): boolean {
    const isLeaf = ({ local }: SyncIndex): boolean => {
      const id = nodeAt(local, portableNames(this.features), path);
      return id !== null && local.get(id)?.kind !== 'folder';
    };
    return this.#process === null ? this.#indexFile.peek(isLeaf) === true : isLeaf(this.index);
  }

  async deleteIndex(): Promise<void> {
    await this.kill();
    this.#indexFile.replace(null);
  }

  /** As when a whole profile is copied from another machine. */
  async cloneIndex(other: SimDevice): Promise<void> {
    await Promise.all([this.kill(), other.kill()]);
    this.#indexFile.replace(other.#indexFile.bytes);
  }

  async backUpIndex(): Promise<void> {
    await this.kill();
    this.#backup = this.#indexFile.bytes;
  }

  /** @returns false: there is no backup */
  async restoreIndex(): Promise<boolean> {
    if (this.#backup === null) return false;
    await this.kill();
    this.#indexFile.replace(this.#backup);
    return true;
  }

  async close(): Promise<void> {
    await this.kill();
  }

  #started(): Process {
    this.#process ??= this.#start();
    return this.#process;
  }

  #start(): Process {
    const { server, account, number, mutant, plannedTogether } = this.#deps;
    const opened = openMemoryDisk(this.volume, (call) => {
      this.diskCalls += 1;
      if (MUTATING.has(call.name)) this.#noteChange(call);
      this.#deps.beforeDisk(this, call);
    });
    const disk = mutant.disk?.(opened) ?? opened;
    const connection = openSimNetwork({
      server,
      ticket: ticketOf(principalOf(account, number)),
      before: async (call) => {
        if (disk.isDead) throw new ProcessKilled('the process was killed');
        if (call.route === '/v1/push') {
          this.effects += 1;
          this.pushes += 1;
        }
        return this.#deps.beforeNet(this, call);
      },
      after: async (call) => {
        await this.#deps.afterNet(this, call);
        if (disk.isDead) throw new ProcessKilled('the process was killed');
      },
    });
    const network = mutant.http?.(connection) ?? connection;
    const sqlite = this.#indexFile.open();
    const index = mutant.index?.(sqlite) ?? sqlite;
    const overHttp = openHttpRemote({
      http: network,
      events: { open: () => ({ close: () => undefined }) },
      cache: this.#manifests,
      compress: false,
      limits: { upBytesPerSecond: undefined, downBytesPerSecond: undefined },
      clock: this.#deps.clock,
    });
    const remote = mutant.remote?.(overHttp) ?? overHttp;
    const created = createEngine({
      disk,
      tree: (onKept) =>
        openLocalTree(disk, {
          now: () => this.now(),
          timeStepMs: this.features.timeStepMs,
          copyName: (name, digits) => keptName(name, digits, this.name),
          onKept,
        }),
      index,
      remote,
      rules: (ignoreFile) => openIgnoreRules({ ignoreFile, excludes: [] }),
      names: portableNames(this.features),
      features: this.features,
      remoteRoot: REMOTE_ROOT,
      device: this.name,
      now: () => this.now(),
      breathe: async () => undefined,
      hash: hashLocal,
      claimState:
        mutant.claimState ??
        (async (state, counter) => {
          const answer = await network.json(z.object({ accepted: z.boolean() }), 'POST', ROUTES.syncStates, { body: { state, counter } });
          return answer.accepted;
        }),
      newState: () => hash('sha256', `${this.name} ${this.#states++}`, 'hex').slice(0, 32),
      onEvent: (event) => this.events.push(event),
      ...(plannedTogether === undefined ? {} : { plannedTogether }),
    });
    return { disk, index, network, engine: mutant.engine?.(created) ?? created };
  }

  #noteChange({ path, to }: DiskCall): void {
    const seen = [path, to].filter((changed) => changed !== undefined && !changed.startsWith('.driftless'));
    if (!path.startsWith('.driftless')) this.effects += 1;
    for (const changed of seen) if (changed !== undefined) this.onChange?.(changed);
  }

  /** Gives a dead process a moment to notice; what it still waits for then never comes. */
  async #afterDeath({ disk }: Process): Promise<null> {
    let turns = 0;
    while (turns < 50) {
      await new Promise((resolve) => setImmediate(resolve));
      turns = disk.isDead ? turns + 1 : 0;
      if (this.#process?.disk !== disk) return null;
    }
    return null;
  }
}

/** What long files were cut into, by version: as the file cache of a profile, it outlives processes. */
function memoryCache(): ManifestCache {
  const versions = new Map<string, NonNullable<Awaited<ReturnType<ManifestCache['recall']>>>>();
  return {
    recall: async (remote) => versions.get(remote) ?? null,
    remember(remote, version, { size }, { digest, chunks }) {
      const known = { name: '', kind: 'file', mtimeUs: 0, mode: 0o644, target: null } as const;
      versions.set(remote, { entry: { ...known, size, version, chunkCount: chunks.length, digest }, chunks });
    },
    forget: (remote) => void versions.delete(remote),
    settle: async () => undefined,
  };
}

/** As the engine's own conflict copies are called. */
function keptName(name: string, digits: string, device: string): string {
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  return `${stem} (conflict from ${device} ${digits})${extension}`;
}
