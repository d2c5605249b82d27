/** Prints each step of a long test with its result and time; the first failure ends the test, since later steps stand on it. */
export type Steps = {
  /** @returns what `work` returns; rethrows what it throws, once it is printed */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Says that a step cannot be done here. */
  leftOut(name: string, why: string): void;
  /** A detail, shown with `--verbose` only. */
  note(text: string): void;
  /** For what goes wrong between steps; says nothing of what a step has printed already. */
  failed(error: unknown): void;
  /** Prints the summary. @returns the exit code */
  finish(): number;
};

export function createSteps({ verbose, print }: { verbose: boolean; print: (line: string) => void }): Steps {
  const start = performance.now();
  let passed = 0;
  let omitted = 0;
  let failure: { readonly cause: unknown } | null = null;
  const milliseconds = (since: number): string => `${Math.round(performance.now() - since)} ms`;
  const fail = (line: string, cause: unknown): void => {
    failure = { cause };
    print(line);
    print(String(cause instanceof Error ? (cause.stack ?? cause.message) : cause).replaceAll(/^/gm, '    '));
  };
  return {
    async step(name, work) {
      const since = performance.now();
      try {
        const result = await work();
        passed += 1;
        print(`✔ ${name} (${milliseconds(since)})`);
        return result;
      } catch (error) {
        fail(`✖ ${name} (${milliseconds(since)})`, error);
        throw error;
      }
    },
    failed(error) {
      if (failure?.cause !== error) fail('✖ between the steps', error);
    },
    leftOut(name, why) {
      omitted += 1;
      print(`- ${name}: left out, ${why}`);
    },
    note(text) {
      if (verbose) print(`    ${text}`);
    },
    finish() {
      const took = ((performance.now() - start) / 1000).toFixed(1);
      const done = failure === null ? `All ${passed} steps passed` : `Failed after ${passed} steps`;
      print(`\n${done}${omitted === 0 ? '' : `, ${omitted} left out`}, in ${took} s`);
      return failure === null ? 0 : 1;
    },
  };
}
