/** Prints each step of a long test with its result and time; the first failure ends the test, since later steps stand on it. */
export type Steps = {
  /** @returns what `work` returns; rethrows what it throws, once it is printed */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** A detail, shown with `--verbose` only. */
  note(text: string): void;
  /** Prints the summary. @returns the exit code */
  finish(): number;
};

export function createSteps({ verbose, print }: { verbose: boolean; print: (line: string) => void }): Steps {
  const start = performance.now();
  let passed = 0;
  let failed = 0;
  const milliseconds = (since: number): string => `${Math.round(performance.now() - since)} ms`;
  return {
    async step(name, work) {
      const since = performance.now();
      try {
        const result = await work();
        passed += 1;
        print(`✔ ${name} (${milliseconds(since)})`);
        return result;
      } catch (error) {
        failed += 1;
        print(`✖ ${name} (${milliseconds(since)})`);
        print(String(error instanceof Error ? (error.stack ?? error.message) : error).replaceAll(/^/gm, '    '));
        throw error;
      }
    },
    note(text) {
      if (verbose) print(`    ${text}`);
    },
    finish() {
      print(`\n${passed} steps passed, ${failed} failed, in ${((performance.now() - start) / 1000).toFixed(1)} s`);
      return failed === 0 && passed > 0 ? 0 : 1;
    },
  };
}
