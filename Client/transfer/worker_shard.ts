import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../Models/errors.ts';
import type { Job, Shard, ShardEvents } from './jobs.ts';
import type { ShardSetup } from './make_shard.ts';
import type { FromWorker, PlainError, ToWorker, WorkerSetup } from './worker_messages.ts';

type Waiting = { readonly resolve: (found: Job[]) => void; readonly reject: (error: AppError) => void };

/** A shard that runs in a worker thread; the one here passes messages. */
export class WorkerShard implements Shard {
  readonly #worker: Worker;
  readonly #setup: ShardSetup;
  readonly #events: ShardEvents;
  #waiting: Waiting | null = null;
  #failure: AppError | null = null;
  readonly #exited: Promise<void>;

  constructor(setup: ShardSetup, events: ShardEvents) {
    const { direction, serverUrl, home, scope } = setup;
    this.#setup = setup;
    this.#events = events;
    const cache = getCompileCacheDir();
    const compileCache = cache === undefined ? null : dirname(cache); // Node adds a folder of its own to the one it is given
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { direction, serverUrl, home, scope, compileCache, pins: setup.pins() } satisfies WorkerSetup,
      resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 },
    });
    this.#worker.on('message', (message: FromWorker) => this.#onMessage(message));
    this.#worker.on('error', (cause) => this.#fail(new AppError('internal', 'a transfer thread failed', { cause })));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#fail(new AppError('internal', 'a transfer thread ended'));
        resolve();
      });
    });
  }

  run(jobs: readonly Job[]): Promise<Job[]> {
    return this.#ask({ type: 'run', jobs });
  }

  async finish(): Promise<void> {
    await this.#ask({ type: 'finish' });
  }

  /** Ends the thread; a shard that is in the middle of something is ended all the same. */
  async close(): Promise<void> {
    if (this.#waiting !== null || this.#failure !== null) await this.#worker.terminate();
    else {
      this.#post({ type: 'close' });
      await this.#exited;
    }
  }

  #ask(message: ToWorker): Promise<Job[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiting = { resolve, reject };
      this.#post(message);
    });
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'progress':
        this.#events.count(message.counts);
        for (const failure of message.failures) this.#events.fail(failure);
        break;
      case 'needTicket':
        void this.#sendTicket(message.request, message.fresh);
        break;
      case 'failed':
        this.#fail(new AppError(message.error.code, message.error.message));
        break;
      case 'ran':
        this.#done([...message.found]);
        break;
      case 'finished':
      case 'closed':
        this.#done([]);
        break;
    }
  }

  #done(found: Job[]): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve(found);
  }

  #fail(error: AppError): void {
    this.#failure ??= error;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
  }

  async #sendTicket(request: number, fresh: boolean): Promise<void> {
    try {
      const ticket = await (fresh ? this.#setup.refresh() : this.#setup.ticket());
      this.#post({ type: 'ticket', request, ticket, pins: this.#setup.pins(), error: null });
    } catch (error) {
      const plain: PlainError =
        error instanceof AppError
          ? { code: error.code, message: error.message }
          : { code: 'internal', message: 'the ticket could not be renewed' };
      this.#post({ type: 'ticket', request, ticket: null, pins: this.#setup.pins(), error: plain });
    }
  }
}
