import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { type Command, measure } from './measure.ts';

const CLI = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));

export type UserCommand = (...args: string[]) => Command;
export type Ours = AsyncDisposable & {
  readonly system: System;
  readonly serverPid: number;
  /** `driftless ARGS` as a new user with a good ticket, who has nothing yet. */
  readonly newUser: () => Promise<UserCommand>;
  /** The same for a new user with this many devices, each with a profile of its own. */
  readonly newDevices: (count: number) => Promise<UserCommand[]>;
};

/** A system of its own below `folder`. */
export async function startOurs(folder: string): Promise<Ours> {
  const env = await privateEnvironment(folder, process.env);
  const system = await startSystem({ env, folder, showErrors: true });
  let users = 0;
  let homes = 0;
  const newDevice = async (words: 'register' | 'login'): Promise<UserCommand> => {
    homes += 1;
    const clientEnv = {
      ...process.env,
      DRIFTLESS_HOME: join(folder, `home-${homes}`),
      DRIFTLESS_AUTH: system.auth,
      DRIFTLESS_PASSWORD: 'correct horse battery staple',
    };
    const command = (...args: string[]): Command => ({ program: process.execPath, args: [CLI, ...args], env: clientEnv });
    await measure(command(words, `bench-${users}`), null);
    return command;
  };
  return {
    system,
    get serverPid() {
      return system.running.server.pid;
    },
    newUser() {
      users += 1;
      return newDevice('register');
    },
    async newDevices(count) {
      users += 1;
      const devices: UserCommand[] = [];
      while (devices.length < count) devices.push(await newDevice(devices.length === 0 ? 'register' : 'login'));
      return devices;
    },
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  };
}
