import { randomUUID } from 'node:crypto';
import { assertNever } from '../../Models/errors.ts';
import type { Action, Plan, Side } from './core/plan.ts';
import type { Disk } from './disk/disk.ts';
import { PRIVATE_FOLDER } from './disk/local_tree.ts';
import type { SyncIndex } from './index/sync_index.ts';

/** Something that must be asked before anything is done. `approve` lets it through once. */
export type Held =
  | {
      readonly guard: 'root';
      readonly why: 'missing' | 'not_a_folder' | 'marker_missing' | 'marker_foreign' | 'other_device' | 'emptied' | 'remote_missing';
    }
  | { readonly guard: 'deletes'; readonly side: Side; readonly files: number; readonly of: number };

const MARKER = `${PRIVATE_FOLDER}/root.json`;
const DELETES_MAX = 100;
const DELETES_SHARE_MAX = 0.25;

type Guarded = { readonly disk: Disk; readonly index: SyncIndex };

/**
 * Is the folder the one that was synced before? Marks it when it is new here.
 * @param whole it is about to be looked at whole, or its top is
 * @returns `null`: it is
 * @throws the system's error when that cannot be seen
 */
export function guardRoot({ disk, index }: Guarded, whole: boolean): Held | null {
  const stat = disk.stat('');
  if (stat === null) return { guard: 'root', why: 'missing' };
  if (stat.kind !== 'folder') return { guard: 'root', why: 'not_a_folder' };
  const identity = index.setting('root_identity');
  const marker = readMarker(disk);
  if (identity === undefined) {
    markRoot({ disk, index });
    return null;
  }
  const [id, dev, ino, birthMs] = JSON.parse(identity) as [string, number, number, number];
  if (marker !== id) return { guard: 'root', why: marker === null ? 'marker_missing' : 'marker_foreign' };
  if (stat.dev !== dev && (stat.ino !== ino || stat.birthMs !== birthMs)) return { guard: 'root', why: 'other_device' };
  const approved = index.setting('approved_root') !== undefined;
  if (whole && !approved && isEmpty(disk) && index.hasAgreedFiles(2)) return { guard: 'root', why: 'emptied' };
  return null;
}

/** From now on this is the folder, whatever it was. */
function markRoot({ disk, index }: Guarded): void {
  const stat = disk.stat('');
  if (stat === null) return;
  const known = index.setting('root_identity');
  const id = known === undefined ? randomUUID() : (JSON.parse(known) as [string])[0];
  if (disk.stat(PRIVATE_FOLDER) === null) disk.mkdir(PRIVATE_FOLDER, 0o700);
  if (readMarker(disk) !== id) {
    if (disk.stat(MARKER) !== null) disk.unlink(MARKER);
    const file = disk.create(MARKER, 0o600);
    try {
      file.write(
        Buffer.from(JSON.stringify({ root: id, about: 'this folder is kept in sync by Driftless; what is in here is its own' })),
        0,
      );
      file.sync();
    } finally {
      file.close();
    }
    disk.syncFolder(PRIVATE_FOLDER);
    disk.syncFolder('');
  }
  index.setSetting('root_identity', JSON.stringify([id, stat.dev, stat.ino, stat.birthMs]));
}

function readMarker(disk: Disk): string | null {
  const stat = disk.stat(MARKER);
  if (stat === null || stat.kind !== 'file') return null;
  const file = disk.open(MARKER);
  try {
    const bytes = Buffer.alloc(Math.min(stat.size, 4096));
    const text = bytes.subarray(0, file.read(bytes, 0)).toString();
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && 'root' in parsed && typeof parsed.root === 'string' ? parsed.root : '';
  } catch (error) {
    if (error instanceof SyntaxError) return '';
    throw error;
  } finally {
    file.close();
  }
}

function isEmpty(disk: Disk): boolean {
  const { names, undecodable } = disk.list('');
  return undecodable.length === 0 && names.every((name) => name === PRIVATE_FOLDER);
}

/** Deletes of files in a plan by the side on which they would happen. */
function countDeletes(plan: Plan, index: SyncIndex): Record<Side, number> {
  const counts = { local: 0, remote: 0 };
  for (const action of plan.steps.flat()) {
    if (action.type === 'delete' && index.ancestor.get(action.id)?.kind !== 'folder') counts[action.side] += 1;
  }
  return counts;
}

/** The sides on which so much would be deleted that a person must agree. */
export function guardDeletes(plan: Plan, index: SyncIndex): Held[] {
  const counts = countDeletes(plan, index);
  const held: Held[] = [];
  for (const side of ['local', 'remote'] as const) {
    const files = counts[side];
    if (files <= DELETES_MAX) continue;
    const of = index.agreedFiles();
    const approved = Number(index.setting(`approved_deletes_${side}`) ?? Number.NaN);
    const isApproved = files <= approved + DELETES_MAX; // as many as need no approval may have come since
    if (files > of * DELETES_SHARE_MAX && !isApproved) held.push({ guard: 'deletes', side, files, of });
  }
  return held;
}

/** What may be done while deletes on some sides are held. */
export function withoutDeletes(plan: Plan, sides: ReadonlySet<Side>): Plan {
  const allowed = (action: Action): boolean => action.type !== 'delete' || !sides.has(action.side);
  return { ...plan, steps: plan.steps.map((step) => step.filter(allowed)) };
}

/** A person agreed to what is held. */
export function approve(guarded: Guarded, held: readonly Held[]): void {
  for (const one of held) {
    if (one.guard === 'root' && one.why === 'remote_missing') beginAnew(guarded.index);
    else if (one.guard === 'root') {
      markRoot(guarded);
      guarded.index.setSetting('approved_root', '1');
    } else if (one.guard === 'deletes') guarded.index.setSetting(`approved_deletes_${one.side}`, String(one.files));
    else assertNever(one);
  }
}

/** The remote folder is made again and gets what is here. */
function beginAnew(index: SyncIndex): void {
  index.transaction(() => {
    index.forgetAgreement();
    index.forgetRoot();
    for (const name of ['cursor', 'remote_made']) index.setSetting(name, null);
  });
}

/** Everything was done: the next time is asked again. */
export function endApproval({ index }: Pick<Guarded, 'index'>): void {
  for (const name of ['approved_root', 'approved_deletes_local', 'approved_deletes_remote']) {
    if (index.setting(name) !== undefined) index.setSetting(name, null);
  }
}
