import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** What is run apart: a module, the name of a function that it exports, and what it is given. */
export type Apart = { readonly module: string; readonly name: string; readonly input: unknown };

/** A thread of its own; an error in it ends it. */
export type ThreadApart = {
  /**
   * One at a time.
   * @param module URL of the module that exports `run`
   * @param input and what comes back: what can be cloned between threads
   */
  run<Input, Output>(module: string, run: (input: Input) => Promise<Output>, input: Input): Promise<Output>;
  close(): Promise<void>;
};

/** The test runner watches every promise of the thread that tests are in, which makes work that awaits much take twice the time: it is done here. */
export function openThread(): ThreadApart {
  let worker: Worker | null = null;
  return {
    async run<Input, Output>(module: string, run: (input: Input) => Promise<Output>, input: Input) {
      worker ??= new Worker(new URL('./apart_main.ts', import.meta.url));
      const asked: Apart = { module, name: run.name, input };
      worker.postMessage(asked);
      try {
        const [output] = (await once(worker, 'message')) as [Output];
        return output;
      } catch (error) {
        worker = null; // what it threw ended it
        throw error;
      }
    },
    async close() {
      await worker?.terminate();
    },
  };
}
