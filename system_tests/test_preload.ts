import hooks, { type AsyncHook } from 'node:async_hooks';
import { fileURLToPath } from 'node:url';
import { committedTree } from './committed_tree.ts';

/** Loaded first of all: by the process that runs the files of tests, and in each that it starts for one of them. */

// What a file loads is compiled once for all of them, and for the processes that they start.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/driftless', import.meta.url));

// Random tests begin with what is committed, see `testSeed`: the same commit is tested the same way.
process.env.DRIFTLESS_TEST_SEED ??= committedTree(fileURLToPath(new URL('..', import.meta.url)));

// The test runner watches every promise, to know which test an error belongs to that nobody waits for; what awaits much takes twice the time
// for that. Without it such an error fails the file it came from, instead of one test in it.
const unwatched: AsyncHook = { enable: () => unwatched, disable: () => unwatched };
Object.assign(hooks, { createHook: () => unwatched });
