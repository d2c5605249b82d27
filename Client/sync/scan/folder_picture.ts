import type { Disk, DiskStat } from '../disk/disk.ts';

const NUMBERS = 6;

/** Names, and of each the numbers that show a change; `null` where one could not be seen. */
export function pictureOf(looks: readonly { readonly name: string; readonly stat: DiskStat | null }[]): Uint8Array<ArrayBuffer> | null {
  const numbers = new Float64Array(looks.length * NUMBERS);
  let names = '';
  let at = 0;
  for (const { name, stat } of looks) {
    if (stat === null) return null;
    numbers[at] = stat.ino;
    numbers[at + 1] = stat.birthMs;
    numbers[at + 2] = stat.size;
    numbers[at + 3] = stat.mtimeMs;
    numbers[at + 4] = stat.ctimeMs;
    numbers[at + 5] = stat.mode;
    at += NUMBERS;
    names += at === NUMBERS ? `${stat.kind}/${name}` : `/${stat.kind}/${name}`;
  }
  const text = Buffer.from(names);
  const shown = new Uint8Array(numbers.byteLength + text.length);
  shown.set(new Uint8Array(numbers.buffer));
  shown.set(text, numbers.byteLength);
  return shown;
}

/** What a folder shows: its picture, the folders in it in the order of the picture, and how many entries it has. */
export type Shown = { readonly shown: Uint8Array<ArrayBuffer>; readonly folders: readonly string[]; readonly entries: number };

/** Of a folder below the root. @returns `null` when not all of it can be seen */
export function lookAt(disk: Disk, folder: string): Shown | null {
  try {
    const { names, undecodable } = disk.list(folder);
    if (undecodable.length > 0) return null;
    const looks = names.map((name) => ({ name, stat: disk.stat(`${folder}/${name}`) })).filter(({ stat }) => stat !== null);
    const shown = pictureOf(looks);
    const folders = looks.flatMap(({ name, stat }) => (stat?.kind === 'folder' ? [name] : []));
    return shown === null ? null : { shown, folders, entries: looks.length };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}
