/** Time that other work on the machine does not count in: a test of how fast something is fails by what it tests, not by what runs beside it. */

const TICK_MS = 10;

const cpuMs = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000;

/**
 * How long this process has been running or waiting since: where it was held up, because others had the processor, the time stands still.
 * A loop that is blocked by its own work is not held up.
 */
export class OwnTime implements Disposable {
  #ms = 0;
  #at = performance.now();
  #cpu = process.threadCpuUsage();
  readonly #timer = setInterval(() => this.#look(), TICK_MS).unref();

  get ms(): number {
    this.#look();
    return this.#ms;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const [at, cpu] = [performance.now(), process.threadCpuUsage()];
    this.#ms += Math.max(Math.min(at - this.#at, 2 * TICK_MS), cpuMs(cpu) - cpuMs(this.#cpu));
    [this.#at, this.#cpu] = [at, cpu];
  }
}

/** @returns how much of the processor time of this process was spent in this thread while `work` was done, 0 to 1 */
export async function shareOfThread(work: () => Promise<unknown>): Promise<number> {
  const [here, all] = [process.threadCpuUsage(), process.cpuUsage()];
  await work();
  return cpuMs(process.threadCpuUsage(here)) / cpuMs(process.cpuUsage(all));
}
