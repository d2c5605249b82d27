/** What is printed as it happens; an empty `line` is for programs only. */
type Line = { readonly line: string; readonly json: unknown };
export type Lines = ReturnType<typeof createLines>;

const LINES_MAX = 10_000; // that nobody has read yet; of more the oldest are only counted

/** A queue that is written by callbacks and read by a loop. */
export function createLines() {
  let queue: Line[] = [];
  let taken = 0; // of the queue
  let missed = 0;
  let isOver = false;
  let wake: (() => void) | null = null;
  const rouse = (): void => {
    wake?.();
    wake = null;
  };
  return {
    push(...lines: Line[]): void {
      queue.push(...lines);
      if (queue.length > 2 * LINES_MAX) {
        const first = Math.max(taken, queue.length - LINES_MAX);
        missed += first - taken;
        queue = queue.slice(first);
        taken = 0;
      }
      rouse();
    },
    isEmpty: (): boolean => taken >= queue.length,
    end(): void {
      isOver = true;
      rouse();
    },
    async *all(): AsyncGenerator<Line> {
      for (;;) {
        if (missed > 0) {
          const count = missed;
          missed = 0;
          yield { line: `${count} lines left out: they came faster than they were read`, json: { event: 'missed', count } };
        }
        const line = queue[taken];
        if (line !== undefined) {
          taken += 1;
          yield line;
          continue;
        }
        queue = [];
        taken = 0;
        if (isOver) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
