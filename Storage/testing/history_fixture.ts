import type { TestContext } from 'node:test';
import type { ServerStore } from '../server_store.ts';

/** Both ports on one empty database, and a clock that a test sets. */
export type HistoryPlace = Pick<ServerStore, 'metadata' | 'history'> & { readonly clock: { ms: number } };
export type OpenHistory = (t: TestContext) => Promise<HistoryPlace>;
