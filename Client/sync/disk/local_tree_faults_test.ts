import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../../Models/errors.ts';
import { seededRandom } from '../../../Models/testing/seeded_random.ts';
import { type BeforeDiskCall, openMemoryDisk, ProcessKilled } from '../testing/memory_disk.ts';
import { otherProgram } from '../testing/memory_disk_user.ts';
import { systemError } from '../testing/memory_disk_volume.ts';
import { ATTRIBUTES, atCall, BEFORE, makeWorld, recover, runBatch, type World } from '../testing/tree_batch.ts';
import type { Intent } from './local_tree.ts';

const CALLS_MAX = 400;

/** Every path holds something whole, and everything that was there is live or in the trash. */
function assertNothingLost({ volume }: World, what: string, afterPowerCut = false): void {
  const everything = otherProgram(volume).walk();
  const live = new Map<string, string>();
  const all = new Set<string>();
  for (const { path, stat, bytes } of everything) {
    if (stat.kind !== 'file') continue;
    all.add(bytes.toString());
    if (!path.startsWith('.driftless/')) live.set(path, bytes.toString());
  }
  for (const content of Object.values(BEFORE)) {
    // What was replaced by its next version, the server has: the one thing whose place in the trash may come too late for a power cut.
    if (!(afterPowerCut && content === 'old 1' && live.get('old') === 'old 2'))
      assert.ok(all.has(content), `${what}: "${content}" is lost`);
  }
  const whole = new Set<string>([...Object.values(BEFORE), 'old 2', 'fresh 1', 'third 1']);
  for (const [path, content] of live) assert.ok(whole.has(content), `${what}: ${path} holds "${content}"`);
  const values = [...live.values()];
  for (const content of ['keep 1', 'from 1', 'x 1', 'attr 1']) {
    const count = values.filter((value) => value === content).length;
    // A power cut may leave a file that was moved under both names, which is two files to look at again.
    assert.ok(count === 1 || (afterPowerCut && count === 2 && content === 'from 1'), `${what}: "${content}" is live ${count} times`);
  }
  assert.ok(live.get('old') === 'old 1' || live.get('old') === 'old 2', `${what}: old is ${live.get('old')}`);
  assert.ok(!everything.some(({ path }) => path.startsWith('.driftless/tmp/')), `${what}: nothing is left over`);
}

function assertDone({ volume }: World): void {
  const user = otherProgram(volume);
  const live = user.walk(['.driftless']).map(({ path, stat, bytes }) => `${path}${stat.kind === 'file' ? `=${bytes}` : ''}`);
  assert.deepEqual(live, [
    'attr=attr 1',
    'dir',
    'dir/folder',
    'dir/folder/x=x 1',
    'dir/fresh=fresh 1',
    'dir/link',
    'dir/third=third 1',
    'dir/to=from 1',
    'keep=keep 1',
    'made',
    'old=old 2',
  ]);
  assert.equal(user.find('attr')?.stat.mode, ATTRIBUTES.mode);
  assert.equal(user.find('old')?.stat.mtimeMs, ATTRIBUTES.mtimeUs / 1000);
  assert.equal(user.find('made')?.stat.mode, 0o751);
}

function killed(): never {
  throw new ProcessKilled('the process was killed');
}

/** @returns false: it came to its end before call `n` */
async function runKilled(world: World, n: number, intents: Set<Intent>): Promise<boolean> {
  const kill = atCall(n, killed);
  try {
    await runBatch(openMemoryDisk(world.volume, kill.before), world, intents, []);
  } catch (error) {
    if (!(error instanceof ProcessKilled)) throw error;
  }
  return kill.reached;
}

for (const hardLinks of [true, false]) {
  const kind = hardLinks ? 'with hard links' : 'without hard links';

  test(`${kind}: a batch does all of it, and it stays after a power cut`, async () => {
    const world = makeWorld(hardLinks);
    const intents = new Set<Intent>();
    const failures: unknown[] = [];
    await runBatch(openMemoryDisk(world.volume), world, intents, failures);
    assert.deepEqual(failures, []);
    assert.equal(intents.size, 0);
    assertDone(world);
    world.volume.cutPower(seededRandom(1));
    assertDone(world);
    await recover(openMemoryDisk(world.volume), world, intents);
    assertNothingLost(world, 'at the end');
  });

  test(`${kind}: killed before any call, and again while that is put right, nothing is lost`, async () => {
    for (let n = 1, reached = true; reached; n += 1) {
      assert.ok(n < CALLS_MAX);
      for (let m = 1, again = true; again; m += 1) {
        const world = makeWorld(hardLinks);
        const intents = new Set<Intent>();
        reached = await runKilled(world, n, intents);
        const kill = atCall(m, killed);
        try {
          await recover(openMemoryDisk(world.volume, kill.before), world, intents);
        } catch (error) {
          if (!(error instanceof ProcessKilled)) throw error;
        }
        again = kill.reached;
        await recover(openMemoryDisk(world.volume), world, intents);
        assertNothingLost(world, `killed before call ${n}, then ${m}`);
      }
    }
  });

  test(`${kind}: a power cut before any call loses nothing`, async () => {
    for (let n = 1, reached = true; reached; n += 1) {
      for (let seed = 1; seed <= 10; seed += 1) {
        const world = makeWorld(hardLinks);
        const intents = new Set<Intent>();
        reached = await runKilled(world, n, intents);
        world.volume.cutPower(seededRandom(seed * 7919 + n));
        await recover(openMemoryDisk(world.volume), world, intents);
        assertNothingLost(world, `power cut before call ${n}, seed ${seed}`, true);
      }
    }
  });

  test(`${kind}: an error of any call is told as local_io with its cause, and loses nothing`, async () => {
    for (const code of ['EIO', 'ENOSPC', 'EACCES']) {
      for (let n = 1, reached = true; reached; n += 1) {
        const world = makeWorld(hardLinks);
        const intents = new Set<Intent>();
        const failures: unknown[] = [];
        const fault = atCall(n, ({ name, path }) => {
          throw systemError(code, name, path);
        });
        await runBatch(openMemoryDisk(world.volume, fault.before), world, intents, failures);
        reached = fault.reached;
        for (const failure of failures) assertTyped(failure, code);
        await recover(openMemoryDisk(world.volume), world, intents);
        assertNothingLost(world, `${code} at call ${n}`);
      }
    }
  });

  test(`${kind}: a disk that is full from any call on loses nothing`, async () => {
    const needSpace = ['create', 'link', 'rename', 'mkdir', 'symlink', 'file.write', 'syncAll'];
    for (let n = 1, reached = true; reached; n += 1) {
      const world = makeWorld(hardLinks);
      const intents = new Set<Intent>();
      let count = 0;
      const full: BeforeDiskCall = ({ name, path }) => {
        count += 1;
        if (count >= n && needSpace.includes(name)) throw systemError('ENOSPC', name, path);
      };
      const failures: unknown[] = [];
      await runBatch(openMemoryDisk(world.volume, full), world, intents, failures);
      reached = count >= n;
      for (const failure of failures) assertTyped(failure, 'ENOSPC');
      await recover(openMemoryDisk(world.volume), world, intents);
      assertNothingLost(world, `full from call ${n} on`);
    }
  });
}

function assertTyped(failure: unknown, code: string): void {
  if (failure instanceof AppError) {
    assert.equal(failure.code, 'local_io');
    assert.equal((failure.cause as NodeJS.ErrnoException).code, code);
  } else assert.equal((failure as NodeJS.ErrnoException).code, code, String(failure)); // of the test's own calls
}
