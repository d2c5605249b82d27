import { setTimeout as sleep } from 'node:timers/promises';
import type { History, KeepPolicy } from '../Storage/history.ts';

const FIRST_MS = 60_000;
const EACH_MS = 3_600_000;

/** Once an hour gives up the versions that the policy does not keep. Closing waits for what is under way. */
export function startRetention(
  history: Pick<History, 'thin'>,
  policy: KeepPolicy,
  told: { readonly onThinned: (count: number) => void; readonly onFailure: (error: unknown) => void },
): { close(): Promise<void> } {
  const ended = new AbortController();
  const running = (async () => {
    for (let waitMs = FIRST_MS; ; waitMs = EACH_MS) {
      await sleep(waitMs, undefined, { signal: ended.signal, ref: false });
      try {
        told.onThinned(await history.thin(policy));
      } catch (error) {
        told.onFailure(error);
      }
    }
  })().catch(() => undefined); // the wait was ended
  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}
