import type { Disk, DiskStat } from '../disk/disk.ts';
import { asidePath, type Intent, type LocalTree, openLocalTree } from '../disk/local_tree.ts';
import { type BeforeDiskCall, ProcessKilled } from './memory_disk.ts';
import { otherProgram } from './memory_disk_user.ts';
import { MemoryVolume } from './memory_disk_volume.ts';

/** What was there before, and has to be somewhere afterwards. */
export const BEFORE = { keep: 'keep 1', old: 'old 1', gone: 'gone 1', from: 'from 1', 'folder/x': 'x 1', attr: 'attr 1' } as const;
export const ATTRIBUTES = { mode: 0o640, mtimeUs: 1_500_000_000_000_000 };

export type World = { readonly volume: MemoryVolume; readonly now: () => number };

export function makeWorld(hardLinks: boolean): World {
  let time = 1_700_000_000_000;
  const now = (): number => {
    time += 1;
    return time;
  };
  const volume = new MemoryVolume({ now, hardLinks });
  const user = otherProgram(volume);
  for (const folder of ['folder', 'empty', 'dir']) user.makeFolder(folder);
  for (const [path, content] of Object.entries(BEFORE)) user.write(path, Buffer.from(content));
  return { volume, now };
}

function openTree(disk: Disk, { now }: World): LocalTree {
  const copyName = (name: string, digits: string): string => `${name} (conflict ${digits})`;
  return openLocalTree(disk, { now, timeStepMs: 1, copyName, onKept: () => undefined });
}

/** A batch as the engine makes one; a failure holds up only what it concerns. @param intents those that are not forgotten */
export async function runBatch(disk: Disk, world: World, intents: Set<Intent>, failures: unknown[]): Promise<void> {
  const tree = openTree(disk, world);
  const found = await each(failures, () =>
    Object.keys(BEFORE)
      .concat('folder')
      .map((path) => [path, disk.stat(path)] as const),
  );
  const stats = new Map(found ?? []);
  const aside = (id: number, path: string): string => asidePath(id, path, 1_700_000_000_000);
  const staged = new Set<number>();
  for (const [id, content] of [
    [1, 'old 2'],
    [2, 'fresh 1'],
    [3, 'third 1'],
  ] as const) {
    const done = await succeeds(failures, () => {
      const file = tree.stage(id);
      try {
        file.write(Buffer.from(content), 0);
      } catch (error) {
        file.close();
        throw error;
      }
      tree.finish(id, file, ATTRIBUTES);
    });
    if (done) staged.add(id);
  }
  if (await succeeds(failures, () => tree.stageSymlink(4, 'target', 1))) staged.add(4);
  const sealed = await succeeds(failures, () => tree.seal());
  const achieved: Intent[] = [];
  const change = async (intent: Intent, work: () => unknown): Promise<void> => {
    intents.add(intent);
    if (await succeeds(failures, work)) achieved.push(intent);
  };
  const place = async (id: number, path: string, expected: DiskStat | null): Promise<void> => {
    const intent = { kind: 'place', id, path, expected, aside: aside(id, path) } as const;
    if (sealed && staged.has(id)) await change(intent, () => tree.place(intent));
  };
  const [old, gone, from, folder, attr] = ['old', 'gone', 'from', 'folder', 'attr'].map((path) => stats.get(path));
  if (old) await place(1, 'old', old);
  await place(2, 'dir/fresh', null);
  await place(3, 'dir/third', null);
  await place(4, 'dir/link', null);
  if (from) {
    const intent = { kind: 'move', id: 5, path: 'from', to: 'dir/to', expected: from, aside: aside(5, 'from') } as const;
    await change(intent, () => tree.move(intent));
  }
  if (folder) {
    const intent = { kind: 'move', id: 6, path: 'folder', to: 'dir/folder', expected: folder, aside: aside(6, 'folder') } as const;
    await change(intent, () => tree.move(intent));
  }
  await each(failures, () => tree.makeFolder('made', 0o751));
  if (attr) await each(failures, () => tree.setAttributes('attr', attr, ATTRIBUTES));
  if (gone) {
    const intent = { kind: 'remove', id: 7, path: 'gone', expected: gone, aside: aside(7, 'gone') } as const;
    await change(intent, () => tree.remove(intent));
  }
  await each(failures, () => tree.removeFolder('empty'));
  const settled = await succeeds(failures, () => tree.settle());
  if (settled) for (const intent of achieved) intents.delete(intent);
}

async function each<T>(failures: unknown[], work: () => T | Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProcessKilled) throw error;
    failures.push(error);
    return null;
  }
}

async function succeeds(failures: unknown[], work: () => unknown): Promise<boolean> {
  const before = failures.length;
  await each(failures, work);
  return failures.length === before;
}

export async function recover(disk: Disk, world: World, intents: Set<Intent>): Promise<void> {
  const tree = openTree(disk, world);
  await tree.recover([...intents]);
  tree.clearStaged();
}

/** Acts once, before call `n`. */
export function atCall(
  n: number,
  act: (call: Parameters<BeforeDiskCall>[0]) => void,
): { before: BeforeDiskCall; readonly reached: boolean } {
  let count = 0;
  return {
    before: (call) => {
      count += 1;
      if (count === n) act(call);
    },
    get reached() {
      return count >= n;
    },
  };
}
