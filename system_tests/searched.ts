import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { findLeaks, passwordsIn, readWritings } from './writings.ts';

const USAGE = `node system_tests/searched.ts COMMAND...

Runs one command after another until one fails, keeps what all processes and fixtures of tests wrote (logs, audit records), and
searches it: no password of a test, nothing that looks like a ticket, a code or a secret, and nothing that a terminal obeys.`;

const TESTS = '{full_system_test.ts,system_tests/**/*.ts,{Models,Storage,Authentication,Server,Client}/**/{*_test.ts,testing/*.ts}}';
const SHOWN_MAX = 50;

async function run(command: string, kept: string): Promise<number> {
  const child = spawn(command, { shell: true, stdio: 'inherit', env: { ...process.env, DRIFTLESS_KEEP_LOGS: kept } });
  const [code] = await once(child, 'close');
  return code ?? 1;
}

async function main(commands: readonly string[]): Promise<number> {
  if (commands.length === 0) {
    console.error(USAGE);
    return 2;
  }
  const kept = await mkdtemp(join(tmpdir(), 'driftless-kept-'));
  try {
    for (const command of commands) {
      const code = await run(command, kept);
      if (code !== 0) return code;
    }
    const written = await readWritings(kept);
    const passwords = await passwordsIn(TESTS);
    if (written.size === 0 || passwords.size === 0) throw new Error('there is nothing to search, or to search for');
    const leaks = findLeaks(written, passwords);
    const bytes = Array.from(written.values(), ({ length }) => length).reduce((sum, length) => sum + length, 0);
    console.log(`searched ${written.size} logs and audit records of the tests, ${bytes} bytes: ${leaks.length} finds`);
    for (const leak of leaks.slice(0, SHOWN_MAX)) console.log(`  ${leak}`);
    return leaks.length === 0 ? 0 : 1;
  } finally {
    await rm(kept, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
