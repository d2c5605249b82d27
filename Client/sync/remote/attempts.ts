import { AppError } from '../../../Models/errors.ts';
import { PASSING } from '../../transfer/jobs.ts';
import { backOffMs, type Clock, sleep } from '../clock.ts';

const ATTEMPTS = 6;
const PAUSE = { first: 200, most: 6400 }; // ms

/** What may be over when it is tried again is tried again, with growing pauses, as long as something is achieved now and then. */
export class Attempts {
  readonly #clock: Pick<Clock, 'after' | 'random'>;
  #failed = 0; // one after the other

  constructor(clock: Pick<Clock, 'after' | 'random'>) {
    this.#clock = clock;
  }

  /** Something was achieved. */
  progress(): void {
    this.#failed = 0;
  }

  /** Waits until it is worth another try. @throws the error, where it is not */
  async pauseAfter(error: unknown, alsoPassing: ReadonlySet<string> = new Set()): Promise<void> {
    const code = error instanceof AppError ? error.code : '';
    if (!PASSING_CODES.has(code) && !alsoPassing.has(code)) throw error;
    this.#failed += 1;
    if (this.#failed >= ATTEMPTS) throw error;
    await sleep(this.#clock, backOffMs(this.#failed, PAUSE, this.#clock.random()));
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await work();
        this.progress();
        return result;
      } catch (error) {
        await this.pauseAfter(error);
      }
    }
  }
}

const PASSING_CODES: ReadonlySet<string> = new Set(PASSING);
