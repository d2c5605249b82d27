#!/usr/bin/env node
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { onPinnedRuntime } from '../../pinned_runtime.js';

await onPinnedRuntime({
  name: 'driftless-admin',
  program: fileURLToPath(import.meta.url),
  main: async () => (await import('./admin_cli.ts')).main(process.argv.slice(2)),
});
