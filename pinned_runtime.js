// Plain JavaScript for any Node from 20 on: it only finds the runtime this project pins and goes on there.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const RUNTIME_MAJOR = 26;

/**
 * Runs a program on the runtime that this project pins, whatever Node started it.
 * @param {{ name: string, program: string, main: () => Promise<void> }} options `program`: the file that was started, to be started again there
 */
export async function onPinnedRuntime({ name, program, main }) {
  if (Number.parseInt(process.versions.node, 10) < RUNTIME_MAJOR) return startPinned(name, program);
  const { enableCompileCache } = await import('node:module'); // which Node 20 does not have
  // inside the checkout, not in a folder that everybody may write: what lies there is run
  enableCompileCache(fileURLToPath(new URL('node_modules/.cache/driftless', import.meta.url)));
  await main();
}

function startPinned(name, program) {
  const runtime = findRuntime();
  if (runtime === undefined) {
    process.stderr.write(`${name}: needs Node ${RUNTIME_MAJOR}, this is ${process.version}: run "npm ci" in the checkout, it brings one\n`);
    process.exitCode = 1;
    return;
  }
  const child = spawn(runtime, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`${name}: cannot start ${runtime}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}

function findRuntime() {
  try {
    return createRequire(import.meta.url).resolve(process.platform === 'win32' ? 'node/bin/node.exe' : 'node/bin/node');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
