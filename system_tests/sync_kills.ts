import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, register } from '../Client/client.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { privateEnvironment, type System, startSystem } from '../processes.ts';
import { openProxy } from './cutting_proxy.ts';
import { type ClientOptions, type ClientProcess, runClient } from './sync_client_process.ts';
import { assertSameFolders } from './sync_equality.ts';
import { createLedger, createPerson, digestOf, digestsIn, type Ledger, lookAt } from './sync_people.ts';

const ACCOUNT = { username: 'alice', password: 'correct horse battery staple' } as const;
const DEVICES = 3;
const PAUSE_MS_MAX = 250; // between two kills, besides the start of what was killed
const DAYS_3_MS = 3 * 86_400_000;
const CUT_BYTES = { min: 20_000, max: 3_000_000 } as const; // that pass before all connections are cut
const CONVERGE_MS = 60_000;

type Machine = {
  readonly name: string;
  readonly home: string;
  readonly local: string;
  readonly act: () => void;
  client: ClientProcess;
};

type Run = {
  readonly system: System;
  readonly random: () => number;
  readonly ledger: Ledger;
  readonly machines: Machine[];
  readonly start: (machine: Pick<Machine, 'name' | 'home' | 'local'>) => Promise<ClientProcess>;
  /** What ended by itself, which nothing may. */
  readonly ended: string[];
};

export type KillReport = { readonly kills: number; readonly contents: number; readonly cuts: number; readonly conflicts: number };

/**
 * Three devices whose people never rest, while processes are killed at random moments, connections are cut and logins grow old. In the end all
 * have the same, and whatever somebody wrote and nobody gave up is somewhere.
 * @throws Error that names the seed and the file with what was done
 */
export async function killAtRandom(options: { kills: number; seed: number; print: (line: string) => void }): Promise<KillReport> {
  const { kills, seed } = options;
  const folder = await mkdtemp(join(tmpdir(), 'driftless-sync-kills-'));
  const ledger = createLedger();
  try {
    const report = await inFolder(folder, ledger, options);
    await rm(folder, { recursive: true, force: true });
    return report;
  } catch (cause) {
    const log = join(folder, 'operations.log');
    writeFileSync(log, `${ledger.log.join('\n')}\n`);
    throw new Error(`seed ${seed}, ${kills} kills; what was done is in ${log}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

async function inFolder(folder: string, ledger: Ledger, { kills, seed, print }: Parameters<typeof killAtRandom>[0]): Promise<KillReport> {
  const random = seededRandom(seed);
  await using stack = new AsyncDisposableStack();
  const environment = await privateEnvironment(folder, { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') });
  let calm = false;
  const nextCut = (): number => (calm ? Number.POSITIVE_INFINITY : CUT_BYTES.min + random() * (CUT_BYTES.max - CUT_BYTES.min));
  const proxy = stack.use(await openProxy(Number(environment.DRIFTLESS_HTTP_PORT), nextCut));
  const system = stack.use(await startSystem({ env: { ...environment, DRIFTLESS_PUBLIC_URL: proxy.url }, folder }));
  const ended: string[] = [];
  const start: Run['start'] = async ({ name, home, local }) => {
    const onEvent: ClientOptions['onEvent'] = (event) => {
      if (event.type === 'held') ledger.log.push(`${name} holds ${JSON.stringify(event.held)}`);
      if (event.type === 'done')
        ledger.log.push(`${new Date().toISOString()} ${name} sync ${event.done.direction} ${event.done.kind} ${event.done.path}`);
    };
    const client = await runClient({
      home,
      local,
      remote: '/work',
      watch: true,
      env: environment,
      onEvent,
      onGaveUp: (why) => ended.push(`${name}: ${why}`),
    });
    client.ended.then(({ signal, printed }) => {
      if (signal !== 'SIGKILL' && !calm) ended.push(`${name} ended by itself: ${printed}`);
    }, console.error);
    return client;
  };
  const machines: Machine[] = [];
  for (let i = 0; i < DEVICES; i += 1) {
    const place = { name: `device-${i}`, home: join(folder, `home-${i}`), local: join(folder, `local-${i}`) };
    mkdirSync(place.local);
    const enter = i === 0 ? register : connect;
    await (await enter({ ...ACCOUNT, auth: system.auth, home: place.home })).close();
    const { act } = createPerson(ledger, random, place.name, place.local);
    machines.push({ ...place, act, client: await start(place) });
  }
  stack.defer(async () => {
    calm = true;
    for (const { client } of machines) await client.kill();
  });
  const run: Run = { system, random, ledger, machines, start, ended };
  for (let kill = 1; kill <= kills; kill += 1) {
    await killOne(run);
    assert.deepEqual(ended, []);
    if (kill % 20 === 0) print(`${kill} kills, ${ledger.written.size} contents, ${proxy.cuts} cuts`);
  }
  calm = true;
  const { cuts } = proxy;
  proxy.reset();
  proxy.cut();
  const conflicts = await converge(run);
  await checkLedger(run, join(folder, 'data'));
  return { kills, contents: ledger.written.size, cuts, conflicts };
}

/** People go on while it is down, and while it starts. */
async function killOne(run: Run): Promise<void> {
  const { random, system, machines, ledger } = run;
  const everybody = async (ms: number): Promise<void> => {
    const until = performance.now() + ms;
    do {
      for (const machine of machines) machine.act();
      await sleep(5 + random() * 40);
    } while (performance.now() < until);
  };
  await everybody(random() * PAUSE_MS_MAX);
  const dice = random();
  const note = (text: string): void => void ledger.log.push(`${new Date().toISOString()} ${text}`);
  if (dice < 0.6) {
    const machine = machines[Math.floor(random() * machines.length)];
    assert.ok(machine !== undefined);
    note(`kill ${machine.name}`);
    await machine.client.kill();
    if (random() < 0.2) letLoginExpire(machine.home);
    if (random() < 0.3) await everybody(random() * PAUSE_MS_MAX);
    const [client] = await Promise.all([run.start(machine), everybody(100)]);
    machine.client = client;
  } else {
    const name = dice < 0.9 ? 'server' : 'auth';
    note(`kill ${name}`);
    await system.running[name].kill();
    await Promise.all([system.restart(name), everybody(100)]);
  }
  note('it runs again');
}

/** As after three days in which the machine was off. */
function letLoginExpire(home: string): void {
  const path = join(home, 'profile.json');
  const profile: { sessions: { ticketExpiresAtMs: number }[] } = JSON.parse(readFileSync(path, 'utf8'));
  for (const session of profile.sessions) session.ticketExpiresAtMs -= DAYS_3_MS;
  writeFileSync(path, JSON.stringify(profile));
}

/** @returns how many conflicts are known, on all devices together */
async function converge({ machines, ended }: Run): Promise<number> {
  const until = performance.now() + CONVERGE_MS;
  for (let quiet = 0; quiet < 2; ) {
    assert.deepEqual(ended, []);
    const achieved: number[] = [];
    for (const { client } of machines) {
      const report = await client.once().catch((error: unknown) => (performance.now() < until ? null : Promise.reject(error)));
      achieved.push(report === null ? 1 : report.achieved);
    }
    const statuses = await Promise.all(machines.map(({ client }) => client.status()));
    const isQuiet =
      achieved.every((count) => count === 0) && statuses.every(({ left }) => left.every(({ reason }) => reason === 'name_collides'));
    quiet = isQuiet ? quiet + 1 : 0;
    assert.ok(performance.now() < until, `still at work after ${CONVERGE_MS} ms: ${JSON.stringify(statuses)}`);
  }
  const [first, ...others] = machines;
  for (const other of others) await assertSameFolders(first?.local ?? '', other.local);
  const statuses = await Promise.all(machines.map(({ client }) => client.status()));
  return statuses.reduce((sum, { conflicts }) => sum + conflicts, 0);
}

async function checkLedger({ ledger, machines }: Run, data: string): Promise<void> {
  const kept = versionsOf(data);
  const empty = digestOf(new Uint8Array());
  for (const { local, name } of machines) {
    for (const file of lookAt(local).files) {
      const digest = digestOf(readFileSync(join(local, file)));
      assert.ok(ledger.written.has(digest) || digest === empty, `${name}: nobody ever wrote what is in ${file}`);
    }
    for (const digest of digestsIn(local)) kept.add(digest);
  }
  const lost = [...ledger.written].filter(([digest]) => !kept.has(digest) && !ledger.givenUp.has(digest));
  assert.deepEqual(
    lost.map(([digest, what]) => `${digest.slice(0, 8)} ${what}`),
    [],
    'lost',
  );
}

/** Every content that the server has, or had. */
function versionsOf(data: string): Set<string> {
  const database = new DatabaseSync(join(data, 'driftless.db'), { readOnly: true });
  try {
    const rows = database.prepare('SELECT DISTINCT digest FROM journal WHERE digest IS NOT NULL').all();
    return new Set(rows.map(({ digest }) => Buffer.from(digest as Uint8Array).toString('hex')));
  } finally {
    database.close();
  }
}
