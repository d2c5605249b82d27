import { folderOf } from '../../Client/sync/disk/disk_paths.ts';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import type { UserAction } from './history.ts';

/** Moves of folders in which each one alone is simple, and what both sides make of all of them together is not. */
type Shape = (names: { readonly a: string; readonly b: string; readonly c: string }) => UserAction[];

const ASIDE = 'aside~';
const move = (path: string, to: string): UserAction => ({ kind: 'move', path, to });
const folder = (path: string): UserAction => ({ kind: 'folder', path });

const SHAPES: readonly Shape[] = [
  ({ a }) => [move(a, ASIDE), folder(a), move(ASIDE, `${a}/${a}`)],
  ({ a, b }) => [move(a, ASIDE), folder(a), move(ASIDE, `${a}/${b}`)],
  ({ a, b, c }) => [folder(`${c}~`), move(a, `${c}~/${b}`)],
  ({ a, b }) => [move(`${a}/${b}`, ASIDE), move(a, `${ASIDE}/${a}`), move(ASIDE, b)],
  ({ a, b }) => [move(`${a}/${b}`, ASIDE), move(a, `${ASIDE}/${b}`), move(ASIDE, a)],
  ({ a, b, c }) => [move(a, `${c}~`), move(b, `${c}~/${b}`)],
  ({ a, b, c }) => [move(a, `${b}/${a}`), move(b, `${c}~`)],
  ({ a, b }) => [move(a, ASIDE), move(b, a), move(ASIDE, b)],
  ({ a, b }) => [move(a, `${b}~`), move(`${b}~`, b)],
  ({ a, b }) => [move(b, ASIDE), move(a, b), move(ASIDE, `${b}/${a}`)],
  ({ a, b }) => [move(`${a}/${b}`, ASIDE), { kind: 'remove', path: a }, move(ASIDE, a)],
  ({ a, b, c }) => [move(a, `${c}~`), move(`${c}~/${b}`, a)],
  ({ a, b, c }) => [move(`${a}/${b}`, ASIDE), move(a, `${c}~`), move(ASIDE, a)],
  ({ a, b, c }) => [move(`${a}/${b}`, ASIDE), move(a, `${ASIDE}/${c}`), folder(a), move(`${ASIDE}/${c}`, `${a}/${b}`)],
];

/** One of them. */
export function movedFolders(names: readonly string[], pick: <T>(list: readonly T[]) => T): UserAction[] {
  const a = pick(names);
  const b = pick(names.filter((name) => name !== a));
  return pick(SHAPES)({ a, b, c: pick(names) });
}

/** Folders of one device, by what they are and not what they are called. */
export type Folders = ReadonlyMap<string, { readonly path: string; readonly parent: string }>;

export function foldersIn(tree: readonly Found[]): Folders {
  const keys = new Map<string, string>([['', '']]);
  const folders = new Map<string, { path: string; parent: string }>();
  for (const { path, stat } of tree) {
    if (stat.kind !== 'folder') continue;
    const key = `${stat.ino} ${stat.birthMs}`;
    keys.set(path, key);
    folders.set(key, { path, parent: keys.get(folderOf(path)) ?? '' });
  }
  return folders;
}

/** What became of the folders of a device: the shapes that must be met. */
export function shapesOf(before: Folders, after: Folders): Set<string> {
  const shapes = new Set<string>();
  const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
  const isIn = (folders: Folders, key: string, above: string): boolean => {
    for (let at = folders.get(key)?.parent; at !== undefined && at !== ''; at = folders.get(at)?.parent) if (at === above) return true;
    return false;
  };
  for (const [key, { path, parent }] of after) {
    const was = before.get(key);
    if (was === undefined || was.path === path) continue;
    if (parent !== '' && !before.has(parent)) shapes.add('folder into a new one');
    const moved = before.get(parent);
    if (parent !== '' && moved !== undefined && moved.path !== after.get(parent)?.path && was.parent !== parent)
      shapes.add('folder into one that moved');
    if (was.parent !== '' && before.get(was.parent)?.path === path) shapes.add('folder takes the place of the one it was in');
    for (const [other, there] of before) {
      if (there.parent === key && nameOf(there.path) === nameOf(path)) shapes.add('folder takes the name of one in it');
      if (other !== key && isIn(before, other, key) && isIn(after, key, other)) shapes.add('folders swap their nesting');
    }
    const other = [...before].find(([, there]) => there.path === path)?.[0];
    if (other !== undefined && other !== key && after.get(other)?.path === was.path) shapes.add('folders change places');
  }
  return shapes;
}

export const FOLDER_SHAPES = [
  'folder into a new one',
  'folder into one that moved',
  'folder takes the place of the one it was in',
  'folder takes the name of one in it',
  'folders swap their nesting',
  'folders change places',
] as const;
