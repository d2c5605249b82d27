import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Driftless, type RestChange, register } from '../Client/client.ts';
import { AppError } from '../Models/errors.ts';
import { seededRandom } from '../Models/testing/seeded_random.ts';
import { privateEnvironment, startSystem } from '../processes.ts';

/** `driftless events --follow` in real processes that are killed while changes come, and go on from what they knew. */

const BIN = fileURLToPath(new URL('../Client/cli/driftless.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const WAIT_MS_MAX = 30_000;
const CHANGE_EACH_MS = 20;
const LIVES_MS_MAX = 700; // after its first line

type Heard = { readonly path: string; readonly cursor: string };
type Follower = { readonly child: ChildProcess; readonly heard: Heard[]; readonly ended: Promise<unknown> };

export type EventKills = { readonly kills: number; readonly serverKills: number; readonly seed: number };
export type EventKillsDone = { readonly changes: number; readonly again: number; readonly servers: number };

/** @throws AssertionError when a change is missed, comes out of order, or comes again that was marked or printed with the cursor that was gone on from */
export async function killFollowers({ kills, serverKills, seed }: EventKills): Promise<EventKillsDone> {
  const random = seededRandom(seed);
  const folder = await mkdtemp(join(tmpdir(), 'driftless-event-kills-'));
  const home = join(folder, 'home');
  const system = await startSystem({ env: await privateEnvironment(folder, process.env), folder, showErrors: true });
  let me: Driftless | null = null;
  try {
    me = await register({ username: 'alice', password: PASSWORD, auth: system.auth, home });
    const writer = keepWriting(me);
    let from = 0; // number of the first change that is to come now
    let again = 0; // changes that came once more
    let told = 0; // changes that came
    let since = ['--since', 'start'];
    for (let n = 0; n < kills; n += 1) {
      const follower = follow({ home, auth: system.auth }, since);
      await until(() => follower.heard.length > 0, 'the first change');
      await sleep(random() * LIVES_MS_MAX);
      if (n < serverKills) {
        await system.running.server.kill();
        await system.restart('server');
        const before = follower.heard.length;
        await until(() => follower.heard.length > before, 'a change after the server was killed');
      }
      follower.child.kill('SIGKILL');
      await follower.ended;
      const { heard } = follower;
      assert.deepEqual(
        heard.map(({ path }) => path),
        numbered(from, heard.length),
        `life ${n}`,
      );
      again += Math.max(0, Math.min(told, from + heard.length) - from);
      told = Math.max(told, from + heard.length);
      const marked = Math.floor(random() * heard.length);
      if (random() < 0.5) {
        since = ['--new'];
        await me.eventsDone((heard[marked] as Heard).cursor);
        from += marked + 1;
      } else {
        since = ['--since', (heard.at(-1) as Heard).cursor];
        from += heard.length;
      }
    }
    const changes = await writer.stop();
    const last = follow({ home, auth: system.auth }, since);
    await until(() => from + last.heard.length >= changes, 'the last change');
    last.child.kill('SIGKILL');
    await last.ended;
    assert.deepEqual(
      last.heard.map(({ path }) => path),
      numbered(from, changes - from),
      'what was left',
    );
    assert.deepEqual(
      (await Array.fromAsync(me.changes())).filter(isMade).map(({ path }) => path),
      numbered(0, changes),
    );
    return { changes, again, servers: serverKills };
  } finally {
    await me?.close();
    await system[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

const numbered = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => `/${from + n}`);
const isMade = ({ kind }: Pick<RestChange, 'kind'>): boolean => kind === 'mkdir';

/** One folder after another, each until it is there. @returns `stop` tells how many there are */
function keepWriting(me: Driftless): { stop(): Promise<number> } {
  let over = false;
  const writing = (async () => {
    for (let n = 0; ; n += 1) {
      if (over) return n;
      while (!(await made(me, `/${n}`))) await sleep(CHANGE_EACH_MS);
      await sleep(CHANGE_EACH_MS);
    }
  })();
  writing.catch(() => undefined); // thrown by `stop`
  return {
    stop() {
      over = true;
      return writing;
    },
  };
}

async function made(me: Driftless, path: string): Promise<boolean> {
  try {
    await me.createFolder(path);
    return true;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.code === 'already_exists') return true; // the answer was lost
    if (error.code === 'server_unreachable') return false;
    throw error;
  }
}

function follow({ home, auth }: { home: string; auth: string }, since: readonly string[]): Follower {
  const env = { DRIFTLESS_HOME: home, DRIFTLESS_AUTH: auth };
  const words = [BIN, 'events', '--follow', '--json', ...since];
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const heard: Heard[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = wholeLine(line);
    if (event?.type === 'changed' && isMade(event)) heard.push(event);
  });
  return { child, heard, ended: once(child, 'close') };
}

/** A process that is killed may leave the beginning of a line. */
function wholeLine(line: string): (Heard & { readonly type: string; readonly kind: RestChange['kind'] }) | null {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const since = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - since < WAIT_MS_MAX, `${what} does not come`);
    await sleep(5);
  }
}
