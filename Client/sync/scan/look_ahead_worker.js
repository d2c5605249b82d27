// Plain JavaScript: taking the types out of even one file costs a new thread 50 ms. What it imports comes from the cache.
import { enableCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';

if (workerData.compileCache !== null) enableCompileCache(workerData.compileCache); // a thread does not take it over
await import('./look_ahead_main.ts');
