import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { type Command, measure } from './measure.ts';

const CLI = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));

export type Ours = AsyncDisposable & {
  readonly system: System;
  readonly serverPid: number;
  /** `driftless ARGS` as a new user with a good ticket, who has nothing yet. */
  readonly newUser: () => Promise<(...args: string[]) => Command>;
};

/** A system of its own below `folder`. */
export async function startOurs(folder: string): Promise<Ours> {
  const env = await privateEnvironment(folder, process.env);
  const system = await startSystem({ env, folder, showErrors: true });
  let users = 0;
  return {
    system,
    get serverPid() {
      return system.running.server.pid;
    },
    async newUser() {
      users += 1;
      const clientEnv = {
        ...process.env,
        DRIFTLESS_HOME: join(folder, `home-${users}`),
        DRIFTLESS_AUTH: system.auth,
        DRIFTLESS_PASSWORD: 'correct horse battery staple',
      };
      const command = (...args: string[]): Command => ({ program: process.execPath, args: [CLI, ...args], env: clientEnv });
      await measure(command('register', `bench-${users}`), null);
      return command;
    },
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  };
}
