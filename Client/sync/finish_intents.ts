import { MODE } from '../../Models/operations.ts';
import { mtimeUs } from '../transfer/local_files.ts';
import type { Disk, DiskFeatures, DiskFile, DiskStat } from './disk/disk.ts';
import { inFolder } from './disk/disk_paths.ts';
import type { Intent, IntentTarget, MoveIntent, PlaceIntent } from './disk/local_tree.ts';
import type { LocalNode, ServerNode, SyncIndex } from './index/sync_index.ts';
import { localPath, type NameForms, seenStat } from './scan/scan.ts';

export type FinishDeps = {
  readonly disk: Disk;
  readonly index: SyncIndex;
  readonly names: NameForms;
  readonly features: Pick<DiskFeatures, 'timeStepMs' | 'permissions'>;
  readonly now: () => number; // ms
  readonly hash: (open: () => DiskFile) => Promise<{ readonly content: string; readonly stat: DiskStat } | null>;
};

/**
 * Records what was done on the disk before an interruption and is not recorded: otherwise it would count as a person's doing, and be undone
 * or doubled by what happens elsewhere. Only what is exactly as it was meant; the rest is seen as it is.
 */
export async function finishIntents(deps: FinishDeps, intents: readonly Intent[]): Promise<void> {
  for (const intent of intents) {
    if (intent.kind === 'remove' || intent.of === undefined) continue;
    try {
      if (intent.kind === 'place') await finishPlace(deps, intent, intent.of);
      else finishMove(deps, intent, intent.of);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error; // what cannot be read now is looked at by the scan
    }
  }
}

async function finishPlace(
  { disk, index, names, features, now, hash }: FinishDeps,
  intent: PlaceIntent,
  target: IntentTarget,
): Promise<void> {
  const source = index.remote.get(target.node);
  const stat = disk.stat(intent.path);
  if (source === undefined || stat === null || stat.kind !== source.kind || !isAt({ index, names }, target, intent.path)) return;
  const read = stat.kind === 'symlink' ? { content: disk.readlink(intent.path), stat } : await hash(() => disk.open(intent.path));
  if (read === null || read.content !== source.content || !isAsPlaced(read.stat, source, features)) return;
  const { node: id, parent, name } = target;
  const { kind, content, mode } = source;
  index.transaction(() => {
    index.setLocal(id, { id, parent, name, kind, content, mode, mtimeUs: source.mtimeUs, seen: seenStat(read.stat, now(), features) });
    index.agree(id);
  });
}

/** Made anew since then, with the same content, it has a mode and a time of its own. */
function isAsPlaced(stat: DiskStat, { kind, mode, mtimeUs: placedUs }: ServerNode, features: FinishDeps['features']): boolean {
  const isSameMode = kind === 'symlink' || !features.permissions || (stat.mode & MODE.max) === mode;
  return isSameMode && Math.abs(mtimeUs(stat) - placedUs) <= features.timeStepMs * 1000;
}

function finishMove({ disk, index, names, features, now }: FinishDeps, { path, to, expected }: MoveIntent, target: IntentTarget): void {
  const { node: id, parent, name, copy } = target;
  const before = index.local.get(id);
  const stat = disk.stat(to);
  const left = disk.stat(path);
  const moved = stat !== null && stat.kind === expected.kind && stat.ino === expected.ino && left?.ino !== expected.ino;
  if (before === undefined || !moved || !isAt({ index, names }, target, to)) return;
  const { mtimeMs, racy } = before.seen;
  const same = stat.kind === 'folder' || (stat.size === before.seen.size && stat.mtimeMs === mtimeMs);
  const after: LocalNode = {
    ...before,
    parent,
    name,
    content: same ? before.content : null,
    seen: { ...seenStat(stat, now(), features), ...(stat.kind === 'folder' ? { mtimeMs } : {}), racy },
  };
  index.transaction(() => {
    if (copy === undefined) index.setLocal(id, after);
    else {
      index.setLocal(id, null);
      index.setLocal(copy, { ...after, id: copy });
    }
    index.agree(id);
  });
}

/** The folder it is in is still the one that was meant. */
function isAt({ index, names }: Pick<FinishDeps, 'index' | 'names'>, { parent, name }: IntentTarget, path: string): boolean {
  const folder = localPath(index, names, parent);
  const local = names.toLocal(name);
  return folder !== null && local !== null && path === inFolder(folder, local);
}
