/** Work that was let in, in order: one piece begins per turn of the event loop, so that cheap answers and BUSY are never stuck behind it. */
export type WorkQueue = {
  /** @returns `null` when there is too much to do already */
  run<Result>(work: () => Promise<Result>): Promise<Result> | null;
};

export function createWorkQueue(max: number): WorkQueue {
  const waiting: (() => void)[] = [];
  let size = 0;
  const next = (): void => {
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(next);
  };
  return {
    run(work) {
      if (size >= max) return null;
      size += 1;
      const started = new Promise<void>((resolve) => waiting.push(resolve));
      if (waiting.length === 1) setImmediate(next);
      return started.then(work).finally(() => {
        size -= 1;
      });
    },
  };
}
