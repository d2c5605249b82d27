import { enableCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import type { WorkerSetup } from './worker_messages.ts';

// A thread does not inherit the cache of compiled code; without it, loading what a shard needs takes as long as 3,000 small files.
const { compileCache } = workerData as WorkerSetup;
if (compileCache !== null) enableCompileCache(compileCache);
await import('./worker_main.ts');
