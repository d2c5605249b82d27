import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Driftless, register } from '../Client/client.ts';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { temporaryFolder } from '../Models/testing/temporary_folder.ts';
import { testSeed } from '../Models/testing/test_seed.ts';
import { type ProcessName, privateEnvironment, type System, startSystem } from '../processes.ts';

const KILLS = 100;
const ROUNDS_MAX = 3 * KILLS;
const DAEMON_SHARE = 0.25;
const PAUSE_MS = { min: 5, max: 150 } as const;
const READY_MS_MAX = 5_000;
const SLOW_READY_MS_MAX = 20_000;
const PASSWORD = 'correct horse battery staple';

/** What a client may be told when the server dies under it; anything else is a defect. */
const INTERRUPTIONS: readonly ErrorCode[] = ['server_unreachable', 'upload_interrupted'];
/**
 * And when the daemon does: `busy` when it died several times in one conversation, `name_taken` when the account was made and the answer lost,
 * `registration_closed` when it was away for so long that it was asked over HTTP, where nobody is local.
 */
const DAEMON_INTERRUPTIONS: readonly ErrorCode[] = ['auth_unreachable', 'busy', 'name_taken', 'registration_closed'];

type Run = {
  readonly folder: string;
  readonly system: System;
  readonly me: Driftless;
  readonly random: () => number;
  /** Remote path to the SHA-256 of its content, for every file whose upload resolved without a failure. */
  readonly acknowledged: Map<string, string>;
  readonly users: string[];
  /** At most one at a time: stretching the password takes longer than a restart. */
  registering: boolean;
  readonly registrations: Promise<void>[];
  round: number;
  /** Resolves when both processes run. */
  ready: Promise<void>;
  done: boolean;
};

async function interrupted(error: unknown, allowed: readonly ErrorCode[]): Promise<void> {
  if (!(error instanceof AppError && allowed.includes(error.code))) throw error;
}

type Upload = {
  readonly name: string;
  readonly files: number;
  readonly sizeBytesMax: number;
  readonly asFolder: boolean;
  readonly pauseMs: number;
};

/** Uploads one batch of files after another until the kills are over. */
async function keepUploading(run: Run, { name, files, sizeBytesMax, asFolder, pauseMs }: Upload): Promise<void> {
  for (let count = 0; !run.done; count += 1) {
    const remote = `/round-${run.round}/${name}-${count}`;
    const local = join(run.folder, 'local', `${name}-${count}`);
    await mkdir(local, { recursive: true });
    const digests = new Map<string, string>();
    for (let i = 0; i < files; i += 1) {
      const content = randomBytes(1 + Math.floor(run.random() * sizeBytesMax));
      await writeFile(join(local, `f${i}`), content);
      digests.set(`f${i}`, sha256(content));
    }
    const each = [...digests.keys()].map((file) => ({ local: join(local, file), remote: `${remote}/${file}` }));
    try {
      const report = await run.me.put(asFolder ? [{ local, remote }] : each);
      for (const failure of report.failures) await interrupted(new AppError(failure.code, failure.message), INTERRUPTIONS);
      if (report.failures.length === 0) for (const [file, digest] of digests) run.acknowledged.set(`${remote}/${file}`, digest);
    } catch (error) {
      await interrupted(error, INTERRUPTIONS);
    }
    await rm(local, { recursive: true });
    await sleep(pauseMs);
    await run.ready;
  }
}

async function tryToRegister(run: Run, username: string): Promise<void> {
  run.registering = true;
  try {
    await using _user = await register({ username, password: PASSWORD, auth: run.system.auth, home: join(run.folder, username) });
    run.users.push(username);
  } catch (error) {
    await interrupted(error, DAEMON_INTERRUPTIONS);
  } finally {
    run.registering = false;
  }
}

/** Kills one process at a random moment and starts it again. @returns how long it took until it was ready, ms */
async function killOnce(run: Run, name: ProcessName): Promise<number> {
  if (name === 'auth' && !run.registering) {
    const registration = tryToRegister(run, `user-${run.round}`);
    run.registrations.push(registration);
    registration.catch(() => {
      run.done = true;
    });
  }
  await sleep(PAUSE_MS.min + run.random() * (PAUSE_MS.max - PAUSE_MS.min));
  const back = Promise.withResolvers<void>();
  run.ready = back.promise;
  await run.system.running[name].kill();
  const since = performance.now();
  await run.system.restart(name);
  const tookMs = performance.now() - since;
  back.resolve();
  return tookMs;
}

/** Every file in `paths` must be listed with the content it was acknowledged with. */
async function checkListed(run: Run, paths: readonly string[]): Promise<void> {
  for (const folder of new Set(paths.map(dirname))) {
    const entries = await Array.fromAsync(run.me.list(folder));
    const listed = new Map(entries.map((entry) => [entry.path, entry.digest]));
    for (const path of paths.filter((one) => dirname(one) === folder)) assert.equal(listed.get(path), run.acknowledged.get(path), path);
  }
}

/** @returns how long each start took, ms, the fastest first */
async function killManyTimes(run: Run): Promise<number[]> {
  const startsMs: number[] = [];
  let checked = 0;
  // where the machine is slow less is acknowledged between two of them
  const enough = (): boolean => run.acknowledged.size > KILLS || run.round > ROUNDS_MAX;
  for (run.round = 1; (run.round <= KILLS || !enough()) && !run.done; run.round += 1) {
    startsMs.push(await killOnce(run, run.random() < DAEMON_SHARE ? 'auth' : 'server'));
    const paths = [...run.acknowledged.keys()];
    await checkListed(run, paths.slice(checked));
    checked = paths.length;
  }
  return startsMs.sort((one, other) => one - other);
}

async function checkEverything(run: Run): Promise<void> {
  const back = join(run.folder, 'back');
  await run.me.download('/', back);
  for (const [path, digest] of run.acknowledged) assert.equal(sha256(await readFile(join(back, path))), digest, path);
  for (const username of run.users) {
    await using _again = await connect({ username, auth: run.system.auth, home: join(run.folder, username) });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test(`SIGKILL of either process, ${KILLS} times at random moments during uploads, loses nothing acknowledged`, async (t) => {
  const seed = testSeed('kills of the server');
  t.diagnostic(`seed ${seed}`);
  const folder = await temporaryFolder(t);
  const outer = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') };
  const env = await privateEnvironment(folder, outer);
  await (await startSystem({ env, folder }))[Symbol.asyncDispose](); // a process that ends by itself leaves its compiled code for the next
  await using system = await startSystem({ env, folder });
  await using me = await register({ username: 'writer', password: PASSWORD, auth: system.auth, home: join(folder, 'home') });
  const run: Run = {
    folder,
    system,
    me,
    random: seededRandom(seed),
    acknowledged: new Map(),
    users: [],
    registering: false,
    registrations: [],
    round: 0,
    ready: Promise.resolve(),
    done: false,
  };
  const writers = Promise.all([
    keepUploading(run, { name: 'folder', files: 40, sizeBytesMax: 20_000, asFolder: true, pauseMs: 500 }),
    keepUploading(run, { name: 'files', files: 10, sizeBytesMax: 50_000, asFolder: false, pauseMs: 0 }),
    keepUploading(run, { name: 'single', files: 1, sizeBytesMax: 400_000, asFolder: false, pauseMs: 0 }),
  ]);
  const over = (): void => {
    run.done = true;
  };
  const killing = killManyTimes(run);
  await Promise.allSettled([killing.finally(over), writers.catch(over)]);
  await Promise.allSettled(run.registrations); // whatever fails, nothing runs on behind the test's back
  await Promise.all([writers, ...run.registrations]);
  const startsMs = await killing;
  // not of all: a few can meet a machine that has other work
  const [medianMs, slowMs] = [0.5, 0.9].map((part) => startsMs[Math.floor(startsMs.length * part)] ?? Number.NaN) as [number, number];
  await checkEverything(run);
  t.diagnostic(
    `${run.acknowledged.size} files and ${run.users.length} users acknowledged, starts of ${Math.round(medianMs)} ms, one of ten over ${Math.round(slowMs)}, ${Math.round(startsMs.at(-1) ?? 0)} at most`,
  );
  assert.ok(medianMs < READY_MS_MAX);
  assert.ok(slowMs < SLOW_READY_MS_MAX, `one of ten starts takes ${slowMs} ms`);
  assert.ok(run.acknowledged.size > KILLS, 'too little was acknowledged to prove anything');
});
