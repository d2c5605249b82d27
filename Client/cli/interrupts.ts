import process from 'node:process';

/** A second signal this soon is the same key press: it reaches us directly and once more through the process that started us. */
const SAME_PRESS_MS = 500;
const GRACE_MS = 5000;
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export type Interrupts = {
  /** An interrupt aborts the signal and waits for `work`; a second one, or 5 s, ends the process. */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
};

/** Outside `run` a signal ends the process at once: nothing is half done then. */
export function handleInterrupts(): Interrupts {
  let running: { controller: AbortController; abortedAt: number } | null = null;
  let lastResort: NodeJS.Timeout | undefined;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (running === null) process.exit(code);
      if (running.controller.signal.aborted) {
        if (performance.now() - running.abortedAt > SAME_PRESS_MS) process.exit(code);
        return;
      }
      running.abortedAt = performance.now();
      lastResort = setTimeout(() => process.exit(code), GRACE_MS);
      running.controller.abort();
    });
  }
  return {
    async run(work) {
      const controller = new AbortController();
      running = { controller, abortedAt: 0 };
      try {
        return await work(controller.signal);
      } finally {
        running = null;
        clearTimeout(lastResort);
      }
    },
  };
}
