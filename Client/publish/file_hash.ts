import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** What the thread is told: to go on to `upTo`, bytes from the start; with `last` it answers with the digest, as hex. */
export type HashMessage = { readonly upTo: number; readonly last: boolean };

/**
 * SHA-256 of a file that grows, by a thread that reads behind whoever writes: receiving and hashing a long file each keep a processor busy.
 */
export class FileHash {
  readonly #worker: Worker;
  #failure: unknown = null;

  /** @param fd stays open until `close` has resolved */
  constructor(fd: number) {
    this.#worker = new Worker(new URL('./file_hash_worker.ts', import.meta.url), { workerData: fd });
    this.#worker.once('error', (error) => {
      this.#failure = error;
    });
  }

  /** Bytes before this position are as they stay. */
  follow(position: number): void {
    this.#post({ upTo: position, last: false });
  }

  /** Of the first `size` bytes. @throws the system's errors */
  async digest(size: number): Promise<string> {
    if (this.#failure !== null) throw this.#failure;
    const answer = once(this.#worker, 'message');
    this.#post({ upTo: size, last: true });
    const [digest] = (await answer) as [string];
    return digest;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(message: HashMessage): void {
    this.#worker.postMessage(message);
  }
}
