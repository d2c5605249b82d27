import { hash } from 'node:crypto';

/** What was done for which bytes, so that a repeat gets the very same result, also while the first is still being worked on. */
export type RecentWork<Result> = {
  get(key: Uint8Array): Promise<Result> | undefined;
  /** Keeps the result, unless the work fails or `isKept` says no. */
  put(key: Uint8Array, work: Promise<Result>): void;
};

/** @param max results that are kept; the oldest are forgotten first */
export function createRecentWork<Result>(max: number, isKept: (result: Result) => boolean = () => true): RecentWork<Result> {
  const results = new Map<string, Promise<Result>>();
  return {
    get: (bytes) => results.get(hash('sha256', bytes, 'base64')),
    put(bytes, work) {
      const key = hash('sha256', bytes, 'base64');
      results.set(key, work);
      const forget = (): void => {
        if (results.get(key) === work) results.delete(key);
      };
      work.then((result) => {
        if (!isKept(result)) forget();
      }, forget);
      if (results.size > max) {
        const [oldest] = results.keys();
        if (oldest !== undefined) results.delete(oldest);
      }
    },
  };
}
