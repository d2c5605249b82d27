import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskStat } from '../../Client/sync/disk/disk.ts';
import { asidePath, type Intent, type LocalTree, openLocalTree } from '../../Client/sync/disk/local_tree.ts';
import { type BeforeDiskCall, openMemoryDisk, ProcessKilled } from '../../Client/sync/testing/memory_disk.ts';
import { type OtherProgram, otherProgram } from '../../Client/sync/testing/memory_disk_user.ts';
import { MemoryVolume, systemError } from '../../Client/sync/testing/memory_disk_volume.ts';
import { seededRandom } from '../../Models/testing/seeded_random.ts';

/** One change of the local tree as the engine makes it, in a tree with `f` (old), `d/` (a folder) and `d/inner`. */
type Scenario = {
  readonly name: string;
  readonly path: string;
  readonly intent: (stat: DiskStat | null) => Intent;
  readonly brings: string | null;
};

const AT_MS = 1_700_000_000_000;
const aside = (path: string): string => asidePath(7, path, AT_MS);
const there = (stat: DiskStat | null): DiskStat => {
  assert.ok(stat !== null);
  return stat;
};

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a new file',
    path: 'd/new',
    brings: 'new',
    intent: () => ({ kind: 'place', id: 7, path: 'd/new', expected: null, aside: aside('d/new') }),
  },
  {
    name: 'a replaced file',
    path: 'f',
    brings: 'new',
    intent: (stat) => ({ kind: 'place', id: 7, path: 'f', expected: there(stat), aside: aside('f') }),
  },
  {
    name: 'a removed file',
    path: 'f',
    brings: null,
    intent: (stat) => ({ kind: 'remove', id: 7, path: 'f', expected: there(stat), aside: aside('f') }),
  },
  {
    name: 'a moved file',
    path: 'f',
    brings: null,
    intent: (stat) => ({ kind: 'move', id: 7, path: 'f', to: 'd/f', expected: there(stat), aside: aside('f') }),
  },
  {
    name: 'a moved folder',
    path: 'd',
    brings: null,
    intent: (stat) => ({ kind: 'move', id: 7, path: 'd', to: 'e', expected: there(stat), aside: aside('d') }),
  },
];

type Made = { volume: MemoryVolume; user: OtherProgram; tree: LocalTree; intents: Intent[]; calls: string[] };

const OPTIONS = {
  now: () => AT_MS,
  timeStepMs: 0.001,
  copyName: (name: string, digits: string) => `${name} copy ${digits}`,
  onKept: () => undefined,
};

/** @returns the changes that were begun are in `intents`; `settled` says that the change is durable */
async function carryOut(
  scenario: Scenario,
  before: BeforeDiskCall,
  onMade: (user: OtherProgram) => void = () => undefined,
): Promise<Made & { settled: boolean; failure: unknown }> {
  const clock = { now: AT_MS - 10_000_000 };
  const volume = new MemoryVolume({ now: () => (clock.now += 1000) });
  const user = otherProgram(volume);
  onMade(user);
  user.makeFolder('d');
  user.write('d/inner', Buffer.from('inner'));
  user.write('f', Buffer.from('old'));
  const calls: string[] = [];
  let armed = false;
  const disk = openMemoryDisk(volume, (call) => {
    if (!armed) return;
    calls.push(call.name);
    before(call);
  });
  const tree = openLocalTree(disk, OPTIONS);
  const intents: Intent[] = [];
  const made = { volume, user, tree, intents, calls };
  try {
    const intent = scenario.intent(disk.stat(scenario.path));
    armed = true;
    if (scenario.brings !== null) {
      const file = tree.stage(7);
      file.write(Buffer.from(scenario.brings), 0);
      tree.finish(7, file, { mode: 0o644, mtimeUs: AT_MS * 1000 });
      await tree.seal();
    }
    intents.push(intent);
    if (intent.kind === 'place') tree.place(intent);
    else if (intent.kind === 'remove') tree.remove(intent);
    else tree.move(intent);
    await tree.settle();
    return { ...made, settled: true, failure: null };
  } catch (failure) {
    return { ...made, settled: false, failure };
  }
}

function contents({ user }: Made): string[] {
  return user.walk().flatMap(({ stat, bytes }) => (stat.kind === 'file' ? [bytes.toString()] : []));
}
function liveContents({ user }: Made): string[] {
  return user.walk(['.driftless']).flatMap(({ stat, bytes }) => (stat.kind === 'file' ? [bytes.toString()] : []));
}

/** After a restart: every path holds something whole, and nothing that was there is gone. */
async function recoverAndCheck(made: Made, scenario: Scenario, context: string): Promise<void> {
  const tree = openLocalTree(openMemoryDisk(made.volume), OPTIONS);
  await tree.recover(made.intents);
  tree.clearStaged();
  const all = contents(made);
  const live = liveContents(made);
  assert.ok(live.includes('inner'), `${context}: what nobody touched is there`);
  assert.ok(all.includes('old') || live.includes('mine'), `${context}: the old content is there or in the trash`);
  if (scenario.brings !== null) {
    assert.ok(live.includes('old') || live.includes('new'), `${context}: the old content only went for the new one: ${live.join(', ')}`);
  }
  for (const content of live)
    assert.ok(['old', 'new', 'inner', 'mine'].includes(content), `${context}: ${JSON.stringify(content)} is whole`);
  if (scenario.name.includes('a moved') && !live.includes('mine'))
    assert.ok(live.includes('old'), `${context}: what moves stays in the tree`);
}

for (const scenario of SCENARIOS) {
  test(`${scenario.name}: whenever the process is killed, nothing is lost`, async () => {
    const { calls } = await carryOut(scenario, () => undefined);
    for (let at = 0; at < calls.length; at += 1) {
      const made = await carryOut(
        scenario,
        atCall(at, () => {
          throw new ProcessKilled('killed');
        }),
      );
      await recoverAndCheck(made, scenario, `killed at call ${at}, ${calls[at]}`);
    }
  });

  test(`${scenario.name}: whenever the power is cut, nothing is lost, and what was settled stays`, async () => {
    const { calls } = await carryOut(scenario, () => undefined);
    for (let at = 0; at <= calls.length; at += 1) {
      for (let seed = 0; seed < 40; seed += 1) {
        const made = await carryOut(
          scenario,
          atCall(at, () => {
            throw new ProcessKilled('killed');
          }),
        );
        made.volume.cutPower(seededRandom(seed));
        const context = `power cut at call ${at}, ${calls[at] ?? 'after all'}, seed ${seed}`;
        if (made.settled && scenario.brings !== null) assert.ok(liveContents(made).includes('new'), `${context}: it was settled`);
        if (made.settled) made.intents.length = 0;
        await recoverAndCheck(made, scenario, context);
      }
    }
  });

  test(`${scenario.name}: whenever a call fails, nothing is lost`, async () => {
    const { calls } = await carryOut(scenario, () => undefined);
    for (let at = 0; at < calls.length; at += 1) {
      for (const times of [1, 1000]) {
        let count = 0;
        const made = await carryOut(scenario, ({ name, path }) => {
          count += 1;
          if (count > at && count <= at + times) throw systemError('EIO', name, path);
        });
        await recoverAndCheck(made, scenario, `${times} failures from call ${at}, ${calls[at]}`);
      }
    }
  });

  test(`${scenario.name}: whenever a person changes something, that is not lost`, async () => {
    const { calls } = await carryOut(scenario, () => undefined);
    const edits: Record<string, (user: OtherProgram) => void> = {
      write: (user) => user.write(scenario.path, Buffer.from('mine')),
      save: (user) => user.save(scenario.path, Buffer.from('mine')),
      'write where it goes': (user) => user.save('d/f', Buffer.from('mine')),
      'replace the folder': (user) => {
        user.move('d', 'elsewhere');
        user.write('d', Buffer.from('mine'));
      },
    };
    for (const [name, edit] of Object.entries(edits)) {
      for (let at = 0; at <= calls.length; at += 1) {
        const hold: { user?: OtherProgram; did: boolean } = { did: false };
        const made = await carryOut(
          scenario,
          atCall(at, () => hold.user !== undefined && tryTo(edit, hold.user, hold)),
          (user) => {
            hold.user = user;
          },
        );
        if (!hold.did) continue;
        await recoverAndCheck(made, { ...scenario, brings: null, name: '' }, `${name} at call ${at}, ${calls[at]}`);
        assert.ok(liveContents(made).includes('mine'), `${name} at call ${at}, ${calls[at]}: what the person wrote is there`);
      }
    }
  });
}

function tryTo(edit: (user: OtherProgram) => void, user: OtherProgram, hold: { did: boolean }): void {
  try {
    edit(user);
    hold.did = true;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}

function atCall(at: number, effect: () => void): BeforeDiskCall {
  let count = -1;
  return () => {
    count += 1;
    if (count === at) effect();
  };
}
