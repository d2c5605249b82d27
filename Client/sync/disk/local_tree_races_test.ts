import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMemoryDisk } from '../testing/memory_disk.ts';
import { type OtherProgram, otherProgram } from '../testing/memory_disk_user.ts';
import { atCall, BEFORE, makeWorld, recover, runBatch } from '../testing/tree_batch.ts';
import { codeOf } from './local_tree_states.ts';

const PATHS = ['old', 'gone', 'from', 'attr', 'dir/fresh', 'dir/to', 'folder/x', 'dir/folder/x'];
const LOOKED = Object.keys(BEFORE).length + 1; // calls by which the batch finds out what is there
const WROTE = Buffer.from('what a person wrote');

/** What a person may do in the middle of it; `path` is one that the batch works on. */
const DEEDS: Readonly<Record<string, (user: OtherProgram, path: string) => void>> = {
  'writes into': (user, path) => user.write(path, WROTE),
  'saves over': (user, path) => user.save(path, WROTE),
  'moves over': (user, path) => {
    user.write('mine', WROTE);
    user.move('mine', path);
  },
  'makes a folder at': (user, path) => {
    user.makeFolder(path);
    user.write(`${path}/mine`, WROTE);
  },
  'replaces by a folder': (user, path) => {
    user.remove(path);
    user.makeFolder(path);
    user.write(`${path}/mine`, WROTE);
  },
  'makes a symlink at': (user, path) => user.symlink('elsewhere', path),
  'moves away': (user, path) => {
    user.move(path, 'mine');
    user.write('mine', WROTE);
  },
  removes: (user, path) => {
    user.remove(path);
    user.write('mine', WROTE);
  },
  'removes all around': (user, path) => {
    user.remove(path.includes('/') ? path.slice(0, path.indexOf('/')) : path);
    user.write('mine', WROTE);
  },
};

for (const [deed, act] of Object.entries(DEEDS)) {
  test(`a person ${deed} what is worked on, at any moment: what they wrote stays to be seen, all else is kept`, async () => {
    for (const path of PATHS) {
      for (let n = LOOKED + 1, reached = true; reached; n += 1) {
        const world = makeWorld(true);
        const user = otherProgram(world.volume);
        let did = true;
        const race = atCall(n, () => {
          did = succeeds(() => act(user, path));
        });
        const failures: unknown[] = [];
        const intents = new Set<never>();
        await runBatch(openMemoryDisk(world.volume, race.before), world, intents, failures);
        reached = race.reached;
        const what = `${path} before call ${n}`;
        assert.deepEqual(failures, [], what);
        await recover(openMemoryDisk(world.volume), world, intents);
        if (did && reached) assertKept(user, what, path);
      }
    }
  });
}

/** Not everything can be done at every moment. */
function succeeds(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (codeOf(error) === '') throw error;
    return false;
  }
}

function assertKept(user: OtherProgram, what: string, path: string): void {
  const live = user.walk(['.driftless']).map(({ bytes, target }) => bytes.toString() + target);
  assert.ok(live.includes(WROTE.toString()) || live.includes('elsewhere'), `${what}: what a person wrote is not to be seen in ${live}`);
  const all = user.walk().map(({ bytes }) => bytes.toString());
  const own = new Set([path, path === 'dir/to' ? 'from' : '', path === 'dir/folder/x' || path === 'folder/x' ? 'folder/x' : '']);
  for (const [name, content] of Object.entries(BEFORE)) {
    const removable = own.has(name) || (path.startsWith('dir/') && (name === 'from' || name === 'folder/x'));
    if (!removable) assert.ok(all.includes(content), `${what}: "${content}" is lost`);
  }
}
