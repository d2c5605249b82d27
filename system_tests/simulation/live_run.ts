import { setImmediate } from 'node:timers/promises';
import { folderOf } from '../../Client/sync/disk/disk_paths.ts';
import type { PassOptions, PassReport } from '../../Client/sync/engine.ts';
import { type Live, type LiveDeps, runLive } from '../../Client/sync/live.ts';
import { type EventConnection, watchEvents } from '../../Client/sync/remote/http_remote_watch.ts';
import { ProcessKilled } from '../../Client/sync/testing/memory_disk.ts';
import { seededRandom } from '../../Models/testing/seeded_random.ts';
import type { PassFault, WatchFaults } from './history.ts';
import type { SimDevice } from './sim_device.ts';
import type { World } from './world.ts';

type Timer = { readonly at: number; readonly then: () => void };
type Connection = Parameters<EventConnection['open']>[0];

const HINT_MS = 1;
const LATE_MS = [1000, 60_000, 400_000];
const RESTART_MS = 1000;
const TURNS = 6; // of the event loop, until a loop that was woken has begun what it does

/**
 * Devices that look after themselves: the real loop on each, told of changes by a watcher and by the server as well as those do, in a time
 * that moves on to whatever is next. Passes of several devices come one after the other.
 */
export class LiveRun {
  readonly #world: World;
  readonly #faults: WatchFaults;
  readonly #random: () => number;
  readonly #timers = new Set<Timer>();
  readonly #lives = new Map<SimDevice, Live>();
  readonly #connections = new Map<SimDevice, Connection>();
  readonly #passFaults: PassFault[][];
  #turn: Promise<unknown> = Promise.resolve();
  #running = 0;
  #sleptMs = 0;
  #swallowed = 0; // events that a watcher still loses
  #failure: unknown = null;
  #closed = false;

  constructor(world: World, faults: WatchFaults, passFaults: readonly (readonly PassFault[])[]) {
    this.#world = world;
    this.#faults = faults;
    this.#random = seededRandom(faults.seed);
    this.#passFaults = passFaults.map((some) => [...some]);
    for (const device of world.devices) this.#start(device);
    world.onSent = (by) => this.#sent(by);
  }

  /** A clock that stands still while the machine sleeps. */
  #now(): number {
    return this.#world.nowMs - this.#sleptMs;
  }

  #after(ms: number, then: () => void): () => void {
    const timer = { at: this.#now() + ms, then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #start(device: SimDevice): void {
    if (this.#closed) return;
    const clock = { now: () => this.#now(), after: (ms: number, then: () => void) => this.#after(ms, then), random: this.#random };
    const events: EventConnection = {
      open: (connection) => {
        this.#after(HINT_MS, () => {
          this.#connections.set(device, connection);
          connection.onOpen();
        });
        return { close: () => this.#connections.delete(device) };
      },
    };
    const deps: LiveDeps = {
      engine: { pass: (options) => this.#pass(device, options ?? {}) },
      remote: { watch: (onHint) => watchEvents(events, clock, onHint) },
      watch: (onHint) => {
        device.onChange = (path) => this.#changed(path, onHint);
        return {
          coverage: { watched: 1, of: 1 },
          close() {
            device.onChange = null;
          },
        };
      },
      clock,
      wallMs: () => device.now(),
      paused: false,
      onState: () => undefined,
      onPass: () => undefined,
      onEnd: (error) => this.#ended(device, error),
    };
    this.#lives.set(device, runLive(device.mutant.live?.(deps) ?? deps));
  }

  /** The process is gone, and whoever looks after it starts another one. */
  #ended(device: SimDevice, error: Error): void {
    device.onChange = null;
    this.#connections.delete(device);
    this.#lives.delete(device);
    if (!(error instanceof ProcessKilled)) this.#failure ??= error;
    else this.#after(RESTART_MS, () => this.#start(device));
  }

  async #pass(device: SimDevice, options: PassOptions): Promise<PassReport> {
    this.#running += 1;
    const turn = this.#turn.then(() => this.#world.livePass(device, options, this.#passFaults.shift() ?? []));
    this.#turn = turn.catch(() => undefined);
    try {
      const report = await turn;
      if (report.held.length > 0) {
        await device.engine.approve(); // as a person who is asked
        device.effects += 1;
        this.#after(HINT_MS, () => this.#lives.get(device)?.nudge());
      }
      return report;
    } finally {
      this.#running -= 1;
    }
  }

  /** Something happened at a path, and this is what the watcher makes of it. */
  #changed(path: string, onHint: (path: string | null) => void): void {
    const tell = (hint: string | null, ms = HINT_MS): void => void this.#after(ms, () => onHint(hint));
    const strikes = (share: number, label: string): boolean => {
      if (this.#random() >= share) return false;
      this.#world.labels.add(`watcher: ${label}`);
      return true;
    };
    if (this.#swallowed > 0) this.#swallowed -= 1;
    else if (strikes(this.#faults.overflow, 'overflow')) {
      this.#swallowed = Math.floor(this.#random() * 8);
      tell(null);
    } else if (strikes(this.#faults.drop, 'drop')) return;
    else if (strikes(this.#faults.coalesce, 'coalesce')) tell(folderOf(path));
    else tell(path, strikes(this.#faults.late, 'late') ? this.#late() : HINT_MS);
    if (strikes(this.#faults.duplicate, 'duplicate')) tell(path, this.#late() / 10);
    if (strikes(this.#faults.ignored, 'ignored path')) tell(this.#random() < 0.5 ? '.driftless/tmp/1' : 'nothing/there');
  }

  #late(): number {
    return LATE_MS[Math.floor(this.#random() * LATE_MS.length)] ?? HINT_MS;
  }

  /** A device sent something: the others are told of it, or not. */
  #sent(by: SimDevice): void {
    for (const [device, connection] of this.#connections) {
      if (device === by || this.#random() < this.#faults.drop) continue;
      if (this.#random() < this.#faults.drop / 4) {
        this.#connections.delete(device);
        this.#after(HINT_MS, () => connection.onClose());
      } else this.#after(this.#random() < this.#faults.late ? this.#late() : HINT_MS, () => connection.onHint(null));
    }
  }

  /** All that is due within this time happens. */
  async pass(ms: number): Promise<void> {
    const end = this.#now() + ms;
    for (;;) {
      await this.#quiet();
      const next = [...this.#timers].reduce<Timer | null>((first, timer) => (first === null || timer.at < first.at ? timer : first), null);
      if (next === null || next.at > end) break;
      this.#timers.delete(next);
      this.#world.pause(Math.max(next.at - this.#now(), 0));
      next.then();
    }
    this.#world.pause(Math.max(end - this.#now(), 0));
  }

  /** Nothing happens meanwhile, on no device. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
    this.#world.pause(ms);
  }

  /** Every loop waits for something that is still to come. */
  async #quiet(): Promise<void> {
    for (let turns = 0; turns < TURNS; turns += 1) {
      if (this.#running > 0) turns = 0;
      await setImmediate();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#world.onSent = null;
    await Promise.all([...this.#lives.values()].map((live) => live.close()));
    await this.#quiet();
  }
}
