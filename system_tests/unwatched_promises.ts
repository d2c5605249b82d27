import hooks, { type AsyncHook } from 'node:async_hooks';

/**
 * Loaded before the files of tests. The test runner watches every promise, to know which test an error belongs to that nobody waits for; what
 * awaits much takes twice the time for that. Without it such an error fails the file it came from, instead of one test in it.
 */
const unwatched: AsyncHook = { enable: () => unwatched, disable: () => unwatched };
Object.assign(hooks, { createHook: () => unwatched });
