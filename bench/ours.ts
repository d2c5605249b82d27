import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { type Command, measure } from './measure.ts';

const CLI = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));

export type Ours = AsyncDisposable & {
  readonly system: System;
  readonly serverPid: number;
  /** `driftless ARGS` as the logged-in user. */
  readonly command: (...args: string[]) => Command;
};

/** An empty system of its own below `folder`, and a user with a good ticket. */
export async function startOurs(folder: string): Promise<Ours> {
  const env = await privateEnvironment(folder, process.env);
  const system = await startSystem({ env, folder, showErrors: true });
  const clientEnv = {
    ...process.env,
    DRIFTLESS_HOME: join(folder, 'home'),
    DRIFTLESS_AUTH: system.auth,
    DRIFTLESS_PASSWORD: 'correct horse battery staple',
  };
  const command = (...args: string[]): Command => ({ program: process.execPath, args: [CLI, ...args], env: clientEnv });
  try {
    await measure(command('register', 'bench'), null);
    await measure(command('login', 'bench'), null);
  } catch (error) {
    await system[Symbol.asyncDispose]();
    throw error;
  }
  return {
    system,
    get serverPid() {
      return system.running.server.pid;
    },
    command,
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  };
}
