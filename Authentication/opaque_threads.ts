import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { OpaqueReply, OpaqueServer } from './opaque_server.ts';

const THREADS_MAX = 8;
const REPLACE_MS = 500;

type Waiting = { resolve(result: unknown): void; reject(error: Error): void };
type Thread = {
  readonly waiting: Map<number, Waiting>;
  post(request: { id: number; step: keyof OpaqueServer; input: unknown }): void;
  close(): Promise<unknown>;
};

/** OPAQUE in threads of their own, so that the daemon goes on answering meanwhile. One that dies is replaced; what it was doing fails. */
export type OpaqueThreads = OpaqueServer & { close(): Promise<void> };

/** @param setup handed to each thread once, when it begins */
export function openOpaqueThreads(setup: string, count = Math.min(THREADS_MAX, Math.max(1, availableParallelism() - 1))): OpaqueThreads {
  const threads = new Set<Thread>();
  let isOpen = true;
  let last = 0;

  function begin(): void {
    const worker = new Worker(new URL('./opaque_server_worker.ts', import.meta.url), { workerData: { setup } });
    const waiting: Thread['waiting'] = new Map();
    const thread: Thread = { waiting, post: (request) => worker.postMessage(request), close: () => worker.terminate() };
    worker.on('message', ({ id, result }: OpaqueReply) => {
      waiting.get(id)?.resolve(result);
      waiting.delete(id);
    });
    worker.on('error', () => undefined); // 'exit' follows
    worker.on('exit', () => {
      threads.delete(thread);
      for (const asked of waiting.values()) asked.reject(new Error('the OPAQUE thread has ended'));
      waiting.clear();
      setTimeout(() => isOpen && begin(), REPLACE_MS).unref(); // not at once: it may be unable to begin
    });
    threads.add(thread);
  }
  for (let n = 0; n < count; n += 1) begin();

  function ask(step: keyof OpaqueServer, input: unknown): Promise<unknown> {
    const [idlest] = [...threads].sort((one, other) => one.waiting.size - other.waiting.size);
    if (!isOpen || idlest === undefined) return Promise.reject(new Error('there is no OPAQUE thread'));
    return new Promise((resolve, reject) => {
      last += 1;
      idlest.waiting.set(last, { resolve, reject });
      idlest.post({ id: last, step, input });
    });
  }
  const step = <K extends keyof OpaqueServer>(name: K): OpaqueServer[K] => ((input: unknown) => ask(name, input)) as OpaqueServer[K];
  return {
    startLogin: step('startLogin'),
    finishLogin: step('finishLogin'),
    register: step('register'),
    async close() {
      isOpen = false;
      await Promise.all([...threads].map((thread) => thread.close()));
    },
  };
}
