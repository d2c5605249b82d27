import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, register } from '../Client/client.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { type ClientProcess, runClient } from './sync_client_process.ts';

const ACCOUNT = { username: 'alice', password: 'correct horse battery staple' } as const;
const FILE_BYTES = 48 << 20;
const BYTES_PER_SECOND = 16 << 20; // so that there is a middle
const EARLY_BYTES = 4 << 20;
const PATIENCE_MS = 60_000;

type Machine = { readonly home: string; readonly local: string; client: ClientProcess };
type World = { readonly system: System; readonly a: Machine; readonly b: Machine; start(machine: Machine): Promise<void> };

async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUp = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < giveUp, what);
    await sleep(5);
  }
}

/** Bytes of what is staged on this machine. */
function staged({ local }: Machine): number {
  const folder = join(local, '.driftless', 'tmp');
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files.reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Two devices that watch: a long file was made on the first one, it is still sent, and some of it is staged on the second one. */
async function inTheMiddle(t: TestContext, content: Uint8Array): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-early-kill-'));
  const env = await privateEnvironment(folder, { ...process.env });
  const system = await startSystem({ env, folder });
  const machines: Machine[] = [];
  // in this order, which separate ones would not have
  t.after(async () => {
    await Promise.all(machines.map(({ client }) => client.kill()));
    await system[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const open = (local: string, home: string) => runClient({ home, local, remote: '/work', watch: true, env });
  for (const enter of [register, connect]) {
    const [home, local] = [join(folder, `home-${machines.length}`), join(folder, `local-${machines.length}`)] as const;
    mkdirSync(local);
    const me = await enter({ ...ACCOUNT, auth: system.auth, home });
    await (await me.sync(local, '/work', { watch: false, limitUp: BYTES_PER_SECOND })).close(); // remembered
    await me.close();
    const machine = { home, local, client: await open(local, home) };
    await machine.client.settle();
    machines.push(machine);
  }
  const [a, b] = machines as [Machine, Machine];
  writeFileSync(join(a.local, 'long'), content);
  await until('some of it is staged on the second one', () => staged(b) >= EARLY_BYTES);
  assert.ok(!existsSync(join(b.local, 'long')), 'it is there already');
  return {
    ...{ system, a, b },
    async start(machine) {
      machine.client = await open(machine.local, machine.home);
    },
  };
}

/** It came whole, and nothing of it is left behind. */
async function cameWhole({ b }: World, content: Uint8Array): Promise<void> {
  await until('the file is there', () => existsSync(join(b.local, 'long')));
  assert.ok(readFileSync(join(b.local, 'long')).equals(content), 'it is another content');
  await until('nothing is staged', () => staged(b) === 0);
}

test('a device that is killed while a file comes early shows nothing of it, and has it in the end', async (t) => {
  const content = randomBytes(FILE_BYTES);
  const world = await inTheMiddle(t, content);
  await world.b.client.kill();
  assert.ok(!existsSync(join(world.b.local, 'long')));
  await world.start(world.b);
  await cameWhole(world, content);
});

test('a server that is killed while a file comes early loses nothing of it', async (t) => {
  const content = randomBytes(FILE_BYTES);
  const world = await inTheMiddle(t, content);
  await world.system.running.server.kill();
  assert.ok(!existsSync(join(world.b.local, 'long')));
  await world.system.restart('server');
  await cameWhole(world, content);
});

test('a device that is killed while it sends a file goes on with it', async (t) => {
  const content = randomBytes(FILE_BYTES);
  const world = await inTheMiddle(t, content);
  await world.a.client.kill();
  assert.ok(!existsSync(join(world.b.local, 'long')));
  await world.start(world.a);
  await cameWhole(world, content);
});

test('a file that is given up while it is sent is on no other device, and what came of it is thrown away', async (t) => {
  const world = await inTheMiddle(t, randomBytes(FILE_BYTES));
  const { a, b } = world;
  await a.client.kill();
  rmSync(join(a.local, 'long'));
  writeFileSync(join(a.local, 'short'), 'short');
  await world.start(a);
  await until('the other file is there', () => existsSync(join(b.local, 'short')));
  await until('nothing is staged', () => staged(b) === 0);
  assert.ok(!existsSync(join(b.local, 'long')));
});
