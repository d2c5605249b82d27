import { setTimeout as sleep } from 'node:timers/promises';

type Waiting<Trx> = {
  run(trx: Trx): Promise<void>;
  settle(error: unknown | null): void;
};

const GATHER_MS_MAX = 20;
const GROUP_MAX = 256;

/**
 * Many small writes in one transaction, hence in one sync of the disk: a write waits up to twice as long as the last transaction took, so that
 * commits take at most a third of the time, and none waits when there is little to do. A write is settled only after the transaction
 * it is in; when that fails, each is tried in one of its own.
 * @param transaction runs a body in one transaction, durable when it resolves; it may run the body again
 */
export function groupWrites<Trx>(
  transaction: (body: (trx: Trx) => Promise<void>) => Promise<void>,
): <Result>(body: (trx: Trx) => Promise<Result>) => Promise<Result> {
  let waiting: Waiting<Trx>[] = [];
  let running = false;
  let lastMs = 0;

  async function commit(group: readonly Waiting<Trx>[]): Promise<void> {
    try {
      await transaction(async (trx) => {
        for (const write of group) await write.run(trx);
      });
      for (const write of group) write.settle(null);
    } catch (error) {
      const [only, ...others] = group;
      if (others.length === 0) only?.settle(error);
      else for (const write of group) await commit([write]); // one that cannot be done must not spoil the rest
    }
  }

  async function run(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      if (waiting.length < GROUP_MAX) await sleep(Math.min(GATHER_MS_MAX, 2 * lastMs));
      const group = waiting.slice(0, GROUP_MAX);
      waiting = waiting.slice(GROUP_MAX);
      const begun = performance.now();
      await commit(group);
      lastMs = performance.now() - begun;
    }
    running = false;
  }

  return <Result>(body: (trx: Trx) => Promise<Result>) =>
    new Promise<Result>((resolve, reject) => {
      let result: Result;
      waiting.push({
        run: async (trx) => {
          result = await body(trx);
        },
        settle: (error) => (error === null ? resolve(result) : reject(error)),
      });
      if (!running) void run();
    });
}
