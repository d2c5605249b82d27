import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../Models/errors.ts';
import type { Side } from './text_diff.ts';
import type { DiffReply } from './text_diff_worker.ts';

const MEMORY_MIB_MAX = 256;

/** `textDiff` in a thread that lives as long: comparing takes up to `LIMITS.diffTimeoutMs`, in which nobody else would be answered. */
export async function textDiffApart(from: Side, to: Side): Promise<string> {
  const worker = new Worker(new URL('./text_diff_worker.ts', import.meta.url), {
    workerData: { from, to },
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB_MAX },
  });
  try {
    const [reply] = (await once(worker, 'message')) as [DiffReply];
    if ('diff' in reply) return reply.diff;
    throw new AppError(reply.code, reply.message);
  } finally {
    await worker.terminate();
  }
}
