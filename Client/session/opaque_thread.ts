import { Worker } from 'node:worker_threads';
import type { OpaqueSteps, StepReply } from './opaque_steps.ts';

type Waiting = { resolve(result: unknown): void; reject(error: Error): void };

/** OPAQUE in a thread of its own: stretching the password takes a few hundred milliseconds of pure computation. */
export type OpaqueThread = OpaqueSteps & { close(): Promise<void> };

export function openOpaqueThread(): OpaqueThread {
  const worker = new Worker(new URL('./opaque_worker.ts', import.meta.url));
  const waiting = new Map<number, Waiting>();
  let last = 0;
  worker.on('message', (reply: StepReply) => {
    const asked = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ('failure' in reply) asked?.reject(new Error(reply.failure));
    else asked?.resolve(reply.result);
  });
  let ended: Error | null = null;
  const end = (error: Error): void => {
    ended ??= error;
    for (const asked of waiting.values()) asked.reject(ended);
    waiting.clear();
  };
  worker.on('error', (error) => end(error as Error));
  worker.on('exit', () => end(new Error('the OPAQUE thread has ended')));
  const ask = (step: keyof OpaqueSteps, input: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (ended !== null) {
        reject(ended);
        return;
      }
      last += 1;
      waiting.set(last, { resolve, reject });
      worker.postMessage({ id: last, step, input });
    });
  const step = <K extends keyof OpaqueSteps>(name: K): OpaqueSteps[K] => ((input: unknown) => ask(name, input)) as OpaqueSteps[K];
  return {
    startRegistration: step('startRegistration'),
    finishRegistration: step('finishRegistration'),
    startLogin: step('startLogin'),
    finishLogin: step('finishLogin'),
    async close() {
      await worker.terminate();
    },
  };
}
