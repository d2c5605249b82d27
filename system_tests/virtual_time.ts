import { setImmediate as turn } from 'node:timers/promises';

type Event = { readonly atMs: number; readonly run: () => void };

/** Time that stands still while anything is computed, and else jumps to what happens next: hours of waiting take none. */
export type VirtualTime = {
  nowMs(): number;
  /** @returns calls it off */
  after(delayMs: number, then: () => void): () => void;
  pause(ms: number): Promise<void>;
  /** Work that takes no time here, however long it takes. Whatever waits for the world outside must be told of. */
  watch<Result>(work: Promise<Result>): Promise<Result>;
  /** Lets time go on until this is done. @throws Error when nothing is left that could happen */
  until<Result>(task: Promise<Result>): Promise<Result>;
};

export function createVirtualTime(): VirtualTime {
  let nowMs = 0;
  const events: Event[] = []; // a handful
  let working = 0;
  let wake = (): void => undefined;

  function takeNext(): Event | undefined {
    let next = 0;
    for (const [n, { atMs }] of events.entries()) if (atMs < (events[next]?.atMs ?? 0)) next = n; // of those at one time the first that was planned
    return events.splice(next, 1)[0];
  }

  /** Nothing is computed, and what follows from it has been begun. */
  async function quiet(): Promise<void> {
    do {
      if (working > 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      await turn();
    } while (working > 0);
  }

  const after: VirtualTime['after'] = (delayMs, run) => {
    const event = { atMs: nowMs + delayMs, run };
    events.push(event);
    return () => {
      const place = events.indexOf(event);
      if (place >= 0) events.splice(place, 1);
    };
  };
  return {
    nowMs: () => nowMs,
    after,
    pause: (ms) =>
      new Promise((resolve) => {
        after(ms, resolve);
      }),
    async watch(work) {
      working += 1;
      try {
        return await work;
      } finally {
        working -= 1;
        if (working === 0) wake();
      }
    },
    async until(task) {
      let isDone = false;
      const done = (): void => {
        isDone = true;
      };
      task.then(done, done);
      for (;;) {
        await quiet();
        if (isDone) return task;
        const next = takeNext();
        if (next === undefined) throw new Error(`nothing is left to happen at ${nowMs} ms`);
        nowMs = next.atMs;
        next.run();
      }
    },
  };
}
