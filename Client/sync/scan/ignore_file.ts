import { foldName } from '../../../Models/names.ts';
import { type NodeId, ROOT, type TreeNode } from '../core/tree.ts';
import type { Disk } from '../disk/disk.ts';
import type { LocalNode, SyncIndex } from '../index/sync_index.ts';
import { bothRules, IGNORE_FILE, type IgnoreRules } from './ignore_rules.ts';
import { isUnchanged } from './scan.ts';

type IgnoreFileDeps = {
  readonly disk: Disk;
  readonly index: SyncIndex;
  /** From the text of the ignore file, `null` without one. */
  readonly rules: (ignoreFile: string | null) => IgnoreRules;
  readonly now: () => number; // ms
};

const BYTES_MAX = 256 * 1024;
const STILL_MS = 200; // it was not written to for so long
const CLOCK_SET_BACK_MS = 1000;

/**
 * The rules that are in force now. Many programs save a file by emptying it first, or by giving it another name for a moment: until the file is
 * still, what it left out before stays out too; and while it is missing, until its delete is carried out on both sides.
 * @param restless files that are being written to just now
 * @param placed the file as it came from the server, whole
 * @returns `isStill`: these are the rules of the file as it is
 */
export function currentRules(
  deps: IgnoreFileDeps,
  restless: ReadonlySet<string>,
  placed: LocalNode | null,
): { readonly rules: IgnoreRules; readonly isStill: boolean } {
  const { index } = deps;
  const before = index.setting('ignore_file') ?? null;
  const { text, isStill } = readIgnoreFile(deps, before, placed);
  const now = deps.rules(text);
  const rules = isStill && !restless.has(IGNORE_FILE) ? now : bothRules(deps.rules(before), now, deps.rules(null));
  const isNow = rules.fingerprint === now.fingerprint;
  if (isNow) index.setSetting('ignore_file', text);
  return { rules, isStill: isNow };
}

/** While it cannot be read it counts as it was. */
function readIgnoreFile(
  { disk, index, now }: IgnoreFileDeps,
  before: string | null,
  placed: LocalNode | null,
): { text: string | null; isStill: boolean } {
  try {
    const stat = disk.stat(IGNORE_FILE);
    if (stat === null || stat.kind !== 'file') return { text: null, isStill: !isKnown(index) };
    const file = disk.open(IGNORE_FILE);
    try {
      const bytes = Buffer.alloc(Math.min(stat.size, BYTES_MAX));
      const text = bytes.subarray(0, file.read(bytes, 0)).toString();
      const ageMs = now() - stat.ctimeMs;
      const isWhole = placed !== null && isUnchanged(stat, placed);
      return { text, isStill: isWhole || ageMs >= STILL_MS || ageMs < -CLOCK_SET_BACK_MS };
    } finally {
      file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return { text: before, isStill: true };
  }
}

function isKnown({ local, ancestor }: SyncIndex): boolean {
  return ignoreFileIn(local)?.kind === 'file' || ignoreFileIn(ancestor)?.kind === 'file';
}

/** The ignore file as one of the trees has it. */
export function ignoreFileIn<T extends TreeNode>(tree: { named(parent: NodeId, key: string): T[] }): T | undefined {
  return tree.named(ROOT, foldName(IGNORE_FILE)).find(({ name }) => name === IGNORE_FILE);
}
