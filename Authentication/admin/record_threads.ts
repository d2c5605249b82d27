import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { NewPassword } from '../../Storage/user_admin.ts';
import type { Registration } from './record.ts';
import type { RecordReply } from './record_worker.ts';

const THREADS_MAX = 8; // each needs 64 MiB to stretch a password

/** Makes records several at a time: each is a few hundred milliseconds of pure computation. */
export type RecordThreads = AsyncDisposable & {
  readonly count: number;
  /** At most `count` at the same time. @throws Error when it failed, without a cause */
  make(asked: Omit<Registration, 'opaqueSetup'>): Promise<NewPassword>;
};

export function openRecordThreads(opaqueSetup: string, count = Math.min(THREADS_MAX, availableParallelism())): RecordThreads {
  const idle = Array.from(
    { length: count },
    () => new Worker(new URL('./record_worker.ts', import.meta.url), { workerData: { opaqueSetup } }),
  );
  const all = [...idle];
  return {
    count,
    async make(asked) {
      const thread = idle.pop();
      if (thread === undefined) throw new RangeError('all threads are at work');
      thread.postMessage(asked);
      const [reply] = (await once(thread, 'message')) as [RecordReply];
      idle.push(thread);
      if (reply === null) throw new Error('a record could not be made');
      return { ...reply, record: Buffer.from(reply.record) }; // what comes from a thread is no Buffer
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((thread) => thread.terminate()));
    },
  };
}
