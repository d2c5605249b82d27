import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, type ProcessName, privateEnvironment, type System, startProcess, startSystem } from '../processes.ts';

let folder: string;
let env: NodeJS.ProcessEnv;
let system: System;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'driftless-refusals-'));
  env = await privateEnvironment(folder, process.env);
  system = await startSystem({ env, folder });
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const NAMES: readonly ProcessName[] = ['auth', 'server'];
const otherPorts = async (): Promise<NodeJS.ProcessEnv> => ({
  ...env,
  DRIFTLESS_AUTH_PORT: String(await freePort('udp')),
  DRIFTLESS_HTTP_PORT: String(await freePort('tcp')),
});

for (const name of NAMES) {
  test(`a second ${name} process on the same data folder ends and says which folder`, async () => {
    await assert.rejects(startProcess(name, { env: await otherPorts(), folder }), (error: Error) =>
      error.message.includes(join(folder, 'data')),
    );
  });

  test(`a ${name} process whose port is taken ends and says which port`, async () => {
    const taken = { ...env, DRIFTLESS_DATA: join(folder, `other-${name}`) };
    const port = name === 'auth' ? env.DRIFTLESS_AUTH_PORT : env.DRIFTLESS_HTTP_PORT;
    await assert.rejects(startProcess(name, { env: taken, folder }), new RegExp(`${port}`));
  });

  test(`a ${name} process whose data folder cannot be written ends and says so`, async () => {
    const blocked = join(folder, `file-${name}`);
    await writeFile(blocked, '');
    await assert.rejects(
      startProcess(name, { env: { ...(await otherPorts()), DRIFTLESS_DATA: blocked }, folder }),
      new RegExp(`file-${name}`),
    );
  });

  test(`a ${name} process with a port that is no number ends and names the variable`, async () => {
    const variable = name === 'auth' ? 'DRIFTLESS_AUTH_PORT' : 'DRIFTLESS_HTTP_PORT';
    await assert.rejects(startProcess(name, { env: { ...env, [variable]: 'many' }, folder }), new RegExp(variable));
  });
}
