#!/usr/bin/env node
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { onPinnedRuntime } from '../../pinned_runtime.js';

await onPinnedRuntime({
  name: 'driftless',
  program: fileURLToPath(import.meta.url),
  main: async () => (await import('./cli.ts')).main(process.argv.slice(2)),
});
