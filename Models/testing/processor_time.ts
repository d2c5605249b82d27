import { readFileSync } from 'node:fs';

/** Time that other work on the machine does not count in: a test of how fast something is fails by what it tests, not by what runs beside it. */

const TICK_MS = 10;

const cpuMs = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000;

/** @returns how long this thread could have run and did not, because others had the processor, ms since it began; undefined where the system does not tell */
export function heldUpMs(): number | undefined {
  try {
    const [, waitedNs = 0, turns] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number);
    return turns === 0 ? undefined : waitedNs / 1e6;
  } catch {
    return undefined;
  }
}

/**
 * How long this thread has been running or waiting since: where it was held up, because others had the processor, the time stands still.
 * A loop that is blocked by its own work, by a lock or by the disk, is not held up; where the system does not tell (it is no Linux) only by what takes
 * processor time, because nothing else can be told from being held up.
 */
export class OwnTime implements Disposable {
  #ms = 0;
  #at = performance.now();
  #cpu = process.threadCpuUsage();
  #heldUp = heldUpMs();
  // How much others hold up shows in a thread that wants to run: it does so all the time, also while it waits for another process.
  readonly #timer = setInterval(() => this.#look(), TICK_MS).unref();

  get ms(): number {
    this.#look();
    return this.#ms;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const [at, cpu, heldUp] = [performance.now(), process.threadCpuUsage(), heldUpMs()];
    const passed = at - this.#at;
    if (heldUp !== undefined && this.#heldUp !== undefined) this.#ms += Math.max(0, passed - (heldUp - this.#heldUp));
    else this.#ms += Math.max(Math.min(passed, 2 * TICK_MS), cpuMs(cpu) - cpuMs(this.#cpu));
    [this.#at, this.#cpu, this.#heldUp] = [at, cpu, heldUp];
  }
}

/** @returns how much of the processor time of this process was spent in this thread while `work` was done, 0 to 1 */
export async function shareOfThread(work: () => Promise<unknown>): Promise<number> {
  const [here, all] = [process.threadCpuUsage(), process.cpuUsage()];
  await work();
  return cpuMs(process.threadCpuUsage(here)) / cpuMs(process.cpuUsage(all));
}
