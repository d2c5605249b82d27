import { seededRandom } from '../../Models/testing/seeded_random.ts';
import { movedFolders } from './folder_shapes.ts';
import { type Chance, invitation, MOUNT, shareActions } from './generate_sharing.ts';
import type {
  ContentSpec,
  DeviceOptions,
  DiskFault,
  History,
  NetFault,
  PassFault,
  ShareAction,
  Step,
  UserAction,
  WatchFaults,
} from './history.ts';

const NAMES = ['a', 'b', 'c', 'A', 'B', '\u00e1', 'a\u0301', '\u00c1', '\u00df', 'ss', 'a ', 'b.txt'];
const PLAIN_NAMES = ['a', 'b', 'c', 'd.txt'];
const SIZES = [8, 8, 8, 60, 4095, 4096, 4097, 20_000];
/** Around where a file becomes one of two chunks, and of many, when it is cut from 512 bytes on. */
const LONG_SIZES = [8, 8, 60, 511, 512, 513, 4096, 4097, 9000, 20_000];
const CHUNK_BYTES_MIN = 512;
const DAY_MS = 86_400_000;
const LIVE_PAUSES_MS = [0, 1, 4, 15, 30, 100, 1000, 12_000, 60_000, 700_000];
const PAUSES_MS = [0, 0, 1, 30, 1000, 3000, 60_000, 3_600_000, 3_600_000, 3 * DAY_MS, 8 * DAY_MS];
/** Where something may happen; those that change something are the ones that matter. */
const DISK_CALLS = [
  ...['link', 'rename', 'unlink', 'create', 'file.write', 'file.sync', 'syncFolder', 'file.setMode', 'file.setTimes'],
  ...['link', 'rename', 'unlink', 'create', 'file.write', 'file.sync', 'syncFolder', 'mkdir', 'rmdir', 'syncAll', 'symlink'],
  ...['setMode', 'setTimes', 'file.close', 'file.stat', 'file.read', 'open', 'stat', 'list', 'readlink', 'file.truncate', null, null],
];
/** Between these the order of a change decides whether something can be lost. */
const CRITICAL_CALLS = ['create', 'file.write', 'file.sync', 'rename', 'link', 'link', 'syncFolder', 'unlink'];
const CODES = ['EIO', 'ENOSPC', 'EACCES', 'EMFILE', 'EBUSY'] as const;
const REFUSALS = ['ticket_expired', 'too_many_requests', 'busy', 'storage_unavailable', 'storage_full'] as const;

/** One in so many seeds has a second user, with whom folders are shared. */
const SHARING_EVERY = 10;
const SHARING_AT = 7;

/** @returns the `nth` seed with two users */
export function sharingSeed(nth: number): number {
  return nth * SHARING_EVERY + SHARING_AT;
}

/** The history of a seed. Each seed has only some kinds of trouble, at rates of its own, so that none hides another. */
export function generate(seed: number): History {
  return new Generator(seed).history();
}

class Generator {
  readonly #seed: number;
  readonly #random: () => number;
  readonly #devices: number;
  readonly #names: readonly string[];
  readonly #depth: number;
  readonly #rates: Record<
    'disk' | 'kill' | 'power' | 'userDuring' | 'net' | 'nested' | 'index' | 'server' | 'hinted' | 'live' | 'folders' | 'machine' | 'share',
    number
  >;
  readonly #actions: readonly UserAction['kind'][];
  readonly #long: boolean;
  readonly #isShared: boolean;
  #contents = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    for (let i = 0; i < 3; i += 1) this.#random(); // seeds that are neighbours begin alike
    this.#devices = this.#pick([2, 2, 2, 2, 3, 3, 4]);
    this.#names = this.#chance(0.35) ? this.#some(NAMES, 4) : PLAIN_NAMES.slice(0, this.#upTo(3) + 1);
    this.#depth = this.#pick([1, 2, 2, 3]);
    const rate = (share: number, most: number): number => (this.#chance(share) ? this.#random() * most : 0);
    this.#rates = {
      disk: rate(0.35, 0.7),
      kill: rate(0.45, 0.9),
      power: rate(0.4, 0.9),
      userDuring: rate(0.5, 0.9),
      net: rate(0.4, 0.6),
      nested: rate(0.4, 0.5),
      index: rate(0.15, 0.5),
      server: rate(0.1, 0.3),
      hinted: rate(0.4, 1),
      live: rate(0.15, 1),
      folders: rate(0.35, 0.5),
      machine: rate(0.15, 0.3),
      share: 0,
    };
    this.#long = this.#chance(0.4);
    this.#actions = this.#actionKinds();
    this.#isShared = seed % SHARING_EVERY === SHARING_AT;
    if (!this.#isShared) return;
    this.#rates.share = 0.1 + this.#random() * 0.4;
    this.#rates.server = 0; // an older server has older rights
  }

  history(): History {
    const steps: Step[] = [];
    if (this.#isShared) steps.push(...this.#sharedBeginning());
    else if (this.#chance(0.75)) steps.push(...this.#beginning());
    for (let phase = this.#pick(this.#isShared ? [2, 3] : [1, 1, 2, 3]); phase > 0; phase -= 1) {
      steps.push(...(this.#chance(this.#rates.live) ? [this.#liveStep()] : this.#phase()));
      if (this.#chance(0.6)) steps.push({ kind: 'settle', afterMs: this.#pause() });
    }
    const chunks = this.#long ? { chunkBytesMin: CHUNK_BYTES_MIN } : {};
    return { seed: this.#seed, tickMs: this.#pick([0, 0.01, 1]), devices: this.#deviceOptions(), ...chunks, steps };
  }

  /** Something that all agree on. */
  #beginning(): Step[] {
    const steps: Step[] = [];
    if (this.#rates.folders > 0) steps.push(...this.#nested());
    for (let count = this.#upTo(6); count > 0; count -= 1) {
      const action: UserAction = this.#chance(this.#rates.folders > 0 ? 0.1 : 0.25)
        ? { kind: 'folder', path: this.#path() }
        : { kind: 'write', path: this.#path(), content: this.#content() };
      steps.push({ kind: 'user', device: 0, action, afterMs: this.#pause() });
    }
    return [...steps, { kind: 'settle', afterMs: this.#pause() }];
  }

  /** Both have something, and a folder of one of them is shared. */
  #sharedBeginning(): Step[] {
    const own = this.#some(this.#names, 2).map((name): Step => {
      const action = { kind: 'write', path: this.#chance(0.5) ? name : `${name}/o`, content: this.#content() } as const;
      return { kind: 'user', device: this.#devices - 1, action, afterMs: 1 };
    });
    const shared = this.#shareSteps(invitation(this.#choice(), this.#names, 0));
    return [
      ...this.#nested(),
      ...own,
      ...this.#beginning(),
      ...shared,
      ...(this.#chance(0.6) ? [{ kind: 'settle', afterMs: 1 } as const] : []),
    ];
  }

  #shareSteps(actions: readonly ShareAction[]): Step[] {
    return actions.map((action) => ({ kind: 'share', action, afterMs: this.#pause() }));
  }

  #choice(): Chance {
    return { pick: (list) => this.#pick(list), chance: (share) => this.#chance(share) };
  }

  /** Folders in each other, with something in them. */
  #nested(): Step[] {
    const some = this.#some(this.#names, Math.min(this.#names.length, 3));
    const paths = some.flatMap((name, at) => [`${name}/${this.#pick(this.#names)}/f${at}`, `${name}/g`]);
    return paths.map((path) => ({ kind: 'user', device: 0, action: { kind: 'write', path, content: this.#content() }, afterMs: 1 }));
  }

  #phase(): Step[] {
    const steps: Step[] = [];
    const actor = this.#chance(0.3) ? this.#device() : null; // a phase of one person is checked more strictly
    for (let count = 1 + this.#upTo(9); count > 0; count -= 1) {
      const afterMs = this.#pause();
      const device = actor ?? this.#device();
      if (this.#chance(this.#rates.folders)) {
        for (const action of movedFolders(this.#names, (list) => this.#pick(list)))
          steps.push({ kind: 'user', device, action, afterMs: 0 });
      } else if (this.#rates.share > 0 && this.#chance(this.#rates.share)) {
        steps.push(...this.#shareSteps(shareActions(this.#choice(), this.#names)));
      } else if (this.#chance(this.#rates.machine)) steps.push(this.#machineStep(device, afterMs));
      else if (actor === null && this.#chance(0.5)) steps.push(...this.#oneForTheOther(afterMs));
      else if (this.#chance(0.5)) steps.push({ kind: 'user', device, action: this.#action(), afterMs });
      else if (this.#chance(this.#rates.index))
        steps.push({ kind: this.#pick(['back_up_index', 'restore_index', 'delete_index']), device, afterMs });
      else if (this.#chance(this.#rates.kill * 0.3)) steps.push({ kind: 'kill', device, afterMs });
      else if (this.#chance(this.#rates.power * 0.3)) steps.push({ kind: 'power', device, seed: this.#upTo(1 << 30), afterMs });
      else if (this.#chance(this.#rates.server)) steps.push(this.#serverStep(afterMs));
      else
        steps.push({
          kind: 'pass',
          device: this.#device(),
          hinted: this.#chance(this.#rates.hinted),
          faults: this.#faults(2, actor),
          afterMs,
        });
    }
    return steps;
  }

  /** Something that one device sends, and another takes while this and that happens to it. */
  #oneForTheOther(afterMs: number): Step[] {
    const [sender, taker] = [this.#device(), this.#device()];
    const steps: Step[] = [];
    for (let count = this.#upTo(3); count > 0; count -= 1) steps.push({ kind: 'user', device: sender, action: this.#action(), afterMs });
    steps.push({ kind: 'pass', device: sender, hinted: false, faults: [], afterMs: this.#pause() });
    if (this.#chance(0.4)) steps.push({ kind: 'user', device: taker, action: this.#action(), afterMs: this.#pause() });
    return [...steps, { kind: 'pass', device: taker, hinted: false, faults: this.#faults(1, null), afterMs: this.#pause() }];
  }

  #liveStep(): Step {
    const rate = (): number => (this.#chance(0.4) ? this.#random() * 0.6 : 0);
    const watch: WatchFaults = {
      seed: this.#upTo(1 << 30),
      drop: rate(),
      late: rate(),
      duplicate: rate(),
      coalesce: rate(),
      overflow: rate(),
      ignored: rate(),
    };
    const actions = Array.from({ length: this.#upTo(6) }, () => ({
      afterMs: this.#pick(LIVE_PAUSES_MS),
      device: this.#device(),
      action: this.#action(),
    }));
    const passFaults = Array.from({ length: this.#upTo(6) - 1 }, () => this.#faults(0, null));
    return { kind: 'live', watch, actions, sleepMs: this.#chance(0.2) ? 3 * DAY_MS : 0, passFaults, afterMs: this.#pause() };
  }

  /** What happens to a machine rather than to what is on it. */
  #machineStep(device: number, afterMs: number): Step {
    return this.#chance(0.5)
      ? { kind: 'unmounted', device, afterMs }
      : { kind: 'set_clock', device, byMs: this.#pick([-86_400_000, -3_600_000, -10_000, -1, 3_600_000]), afterMs };
  }

  #serverStep(afterMs: number): Step {
    return this.#pick<Step>([
      { kind: 'restart', afterMs },
      { kind: 'back_up_server', afterMs },
      { kind: 'restore_server', newEpoch: this.#chance(0.5), afterMs },
    ]);
  }

  #faults(depth: number, actor: number | null): PassFault[] {
    const faults: PassFault[] = [];
    const add = (rate: number, make: () => PassFault): void => {
      while (this.#chance(rate) && faults.length < 4) faults.push(make());
    };
    const disk = (effect: DiskFault['effect']): DiskFault => ({ on: 'disk', ...this.#diskCall(), effect });
    const net = (effect: NetFault['effect'], when: 'before' | 'after'): NetFault => ({ on: 'net', nth: this.#upTo(5), when, effect });
    add(this.#rates.disk, () => {
      if (this.#chance(0.1)) return { on: 'disk', name: 'list', nth: this.#upTo(3), effect: { kind: 'hide', share: this.#random() } };
      return disk(
        this.#chance(0.1)
          ? { kind: 'short_write', bytes: this.#upTo(8) - 1 }
          : { kind: 'error', code: this.#pick(CODES), times: this.#pick([1, 1, 1, 2, 5, 1000]) },
      );
    });
    add(this.#rates.kill, () => (this.#chance(0.8) ? disk({ kind: 'kill' }) : net({ kind: 'kill' }, this.#pick(['before', 'after']))));
    add(this.#rates.power, () => disk({ kind: 'power', seed: this.#upTo(1 << 30) }));
    add(this.#rates.userDuring, () => {
      const effect = { kind: 'user', device: actor ?? this.#device(), action: this.#actionInside() } as const;
      return this.#chance(0.75) ? disk(effect) : net(effect, this.#pick(['before', 'after']));
    });
    add(this.#rates.net, () => net(this.#networkFault(), 'before'));
    if (this.#rates.share > 0) {
      add(this.#rates.share / 3, () => {
        const [action] = shareActions(this.#choice(), this.#names);
        if (action === undefined) throw new RangeError('somebody does something');
        return net({ kind: 'share', action }, this.#pick(['before', 'after']));
      });
    }
    if (depth > 0 && this.#devices > 1) {
      add(this.#rates.nested, () =>
        net({ kind: 'pass', device: this.#device(), faults: this.#faults(depth - 1, actor) }, this.#pick(['before', 'after'])),
      );
    }
    return faults;
  }

  #networkFault(): NetFault['effect'] {
    return this.#pick<NetFault['effect']>([
      { kind: 'drop' },
      { kind: 'drop_reply' },
      { kind: 'drop_reply' },
      { kind: 'duplicate' },
      { kind: 'restart' },
      { kind: 'portal' },
      { kind: 'partition' },
      { kind: 'cut_body', at: this.#random() },
      { kind: 'cut_reply', at: this.#random() },
      { kind: 'wrong_byte', at: this.#random() },
      { kind: 'refuse', code: this.#pick(REFUSALS) },
    ]);
  }

  #diskCall(): { nth: number; name: string | null } {
    if (this.#chance(0.6)) return { name: this.#pick(CRITICAL_CALLS), nth: this.#pick([1, 1, 2, 3]) };
    const name = this.#pick(DISK_CALLS);
    return { name, nth: name === null ? Math.ceil(2 ** (this.#random() * 8)) : Math.ceil(2 ** (this.#random() * 3)) };
  }

  #actionKinds(): UserAction['kind'][] {
    const always: UserAction['kind'][] = ['write', 'save', 'remove', 'move', 'folder'];
    const sometimes: UserAction['kind'][] = ['append', 'insert', 'quiet', 'link', 'symlink', 'mode', 'time'];
    return [...always, ...always, 'write', 'move', ...sometimes.filter(() => this.#chance(0.35))];
  }

  #action(): UserAction {
    const kind = this.#pick(this.#actions);
    const path = this.#chance(0.03) ? '?conflict' : this.#path();
    switch (kind) {
      case 'write':
      case 'save':
        return { kind, path, content: this.#content() };
      case 'append':
      case 'quiet':
        return { kind, path, id: this.#nextContent() };
      case 'insert':
        return { kind, path, id: this.#nextContent(), at: this.#random() };
      case 'folder':
      case 'remove':
        return { kind, path };
      case 'move':
      case 'link':
        return { kind, path, to: this.#chance(0.06) ? otherLetters(path) : this.#path() };
      case 'symlink':
        return { kind, path, target: this.#linkTarget() };
      case 'mode':
        return { kind, path, mode: this.#pick([0o644, 0o600, 0o755, 0o700, 0o444]) };
      default:
        return { kind, path, mtimeMs: 1_500_000_000_000 + this.#upTo(1_000_000_000) };
    }
  }

  /** Within a call nobody sets a time back as well: that takes a moment, and the times of change tell. */
  #actionInside(): UserAction {
    for (;;) {
      const action = this.#action();
      if (action.kind !== 'quiet') return action;
    }
  }

  #content(): ContentSpec {
    if (this.#chance(0.04)) return 'empty';
    if (this.#chance(0.08)) return { shared: this.#upTo(2) };
    return { id: this.#nextContent(), size: this.#pick(this.#long ? LONG_SIZES : SIZES) };
  }

  /** Some lead to the same, as when a package is installed anew. */
  #linkTarget(): string {
    const id = this.#nextContent();
    return id % 3 === 0 ? 'shared' : `to ${id}`;
  }

  #nextContent(): number {
    this.#contents += 1;
    return this.#contents;
  }

  #path(): string {
    const parts = [this.#isShared && this.#chance(0.3) ? MOUNT : this.#pick(this.#names)];
    while (parts.length < this.#depth && this.#chance(0.45)) parts.push(this.#pick(this.#names));
    return parts.join('/');
  }

  #deviceOptions(): DeviceOptions[] {
    const odd = this.#chance(0.3);
    return Array.from({ length: this.#devices }, (_, at) => ({
      ...(this.#isShared ? { user: at < this.#devices / 2 ? (0 as const) : (1 as const) } : {}),
      foldsCase: odd && this.#chance(0.4),
      foldsUnicode: odd && this.#chance(0.4),
      birthTimes: !(odd && this.#chance(0.3)),
      timeStepMs: odd && this.#chance(0.4) ? this.#pick([1, 1000, 2000]) : 0.001,
      skewMs: this.#chance(0.1) ? this.#pick([-3_600_000, 3_600_000]) : 0,
    }));
  }

  #pause(): number {
    return this.#pick(PAUSES_MS);
  }

  #device(): number {
    return Math.floor(this.#random() * this.#devices);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  /** From 1 to `most`. */
  #upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  #pick<T>(list: readonly T[]): T {
    const one = list[Math.floor(this.#random() * list.length)];
    if (one === undefined && !list.includes(one as T)) throw new RangeError('nothing to pick from');
    return one as T;
  }

  #some(list: readonly string[], count: number): string[] {
    const left = [...list];
    return Array.from({ length: count }, () => left.splice(Math.floor(this.#random() * left.length), 1)[0] ?? 'a');
  }
}

/** The same name where case does not count. */
function otherLetters(path: string): string {
  const cut = path.lastIndexOf('/') + 1;
  const name = path.slice(cut);
  const upper = name.toUpperCase();
  return path.slice(0, cut) + (name === upper ? name.toLowerCase() : upper);
}
