import { type NodeId, ROOT } from '../core/tree.ts';
import { folderOf, inFolder } from '../disk/disk_paths.ts';
import type { SyncIndex } from '../index/sync_index.ts';
import type { IgnoreRules, LeftOut } from './ignore_rules.ts';

/**
 * A line with a slash means a place. What it leaves out is known by the folder that it is in, so it stays left out when that folder, or one above,
 * has another name by now, for as long as the line stands (docs/decisions/0111).
 */
export type PlaceDeps = {
  readonly index: Pick<SyncIndex, 'keepOut' | 'keptOut' | 'ancestor'>;
  readonly rules: Pick<IgnoreRules, 'match' | 'arePlaces' | 'standing'>;
  readonly names: { toLocal(name: string): string | null };
};

export type PlacedEntry = {
  readonly folder: NodeId;
  readonly name: string; // as the server has it
  readonly path: string; // from the root, with the names of this disk
  readonly kind: Parameters<IgnoreRules['match']>[1];
};

const PLACE = /\/./;

/** @returns what leaves an entry out, by its path now or by where it was */
export function leftOutAt({ index, rules }: PlaceDeps, { folder, name, path, kind }: PlacedEntry): LeftOut | null {
  const rule = rules.match(path, kind);
  if (rule !== null || !rules.arePlaces) return rule;
  const kept = index.keptOut(folder, name);
  const standing = kept === null ? null : rules.standing(kept);
  return standing === null ? null : { ...standing, isEarlier: true };
}

/** The same of what is on this disk and new here; what is left out by its place is noted. */
export function noteLeftOut(deps: PlaceDeps, entry: PlacedEntry): LeftOut | null {
  const { index, rules } = deps;
  const rule = leftOutAt(deps, entry) ?? (rules.arePlaces ? leftOutBefore(deps, entry) : null);
  if (rule !== null && rules.arePlaces && PLACE.test(rule.pattern)) index.keepOut({ ...entry, ...rule });
  return rule;
}

/** It came, and its folder was renamed, before anybody had looked. */
function leftOutBefore({ index, rules, names }: PlaceDeps, { folder, path, kind }: PlacedEntry): LeftOut | null {
  const before: string[] = [];
  for (let id = folder; id !== ROOT; ) {
    const agreed = index.ancestor.get(id);
    if (agreed === undefined) return null;
    before.unshift(names.toLocal(agreed.name) ?? agreed.name);
    id = agreed.parent;
  }
  const was = before.join('/');
  const rule = was === folderOf(path) ? null : rules.match(inFolder(was, path.slice(path.lastIndexOf('/') + 1)), kind);
  return rule !== null && PLACE.test(rule.pattern) ? { ...rule, isEarlier: true } : null;
}
