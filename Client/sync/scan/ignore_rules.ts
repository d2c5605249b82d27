import { hash } from 'node:crypto';
import ignore, { type Ignore } from 'ignore';
import { foldName } from '../../../Models/names.ts';
import { PART_NAME } from '../../transfer/local_files.ts';
import type { NodeKind } from '../core/tree.ts';
import { PRIVATE_FOLDER } from '../disk/local_tree.ts';

/** In the root of a synced folder, synced with it like any file: what is left out on every device. */
export const IGNORE_FILE = '.driftlessignore';

/**
 * Why an entry is not synced. `ignored`: by this line of the ignore file, counted from 1; line 0: never synced anywhere, whatever the
 * file says. `excluded`: by the exclude pattern of this device with this number, from 1. `pattern` is what stands there.
 */
export type LeftOut = {
  readonly source: 'ignored' | 'excluded';
  readonly line: number;
  readonly pattern: string;
  /** Not where it is now, but where it was when the folder that it is in was called otherwise (left_out_places.ts). */
  readonly isEarlier?: boolean;
};

export type IgnoreRules = {
  /**
   * @param path relative to the synced folder, components divided by '/'; not the folder itself
   * @returns what leaves it out: of the lines of one source the last that matches, unless it is a negated one; what leaves a folder out
   *   leaves out all below it. `null`: it is synced
   */
  match(path: string, kind: NodeKind): LeftOut | null;
  /** A line with this pattern is still there, whatever it matches. @returns with the number that it has now */
  standing(rule: Pick<LeftOut, 'source' | 'pattern'>): LeftOut | null;
  /** Some of them mean a place: a folder that is renamed changes what they leave out in it. */
  readonly arePlaces: boolean;
  /** The same for rules that leave out the same, whatever comments stand between them; 64 hex digits. */
  readonly fingerprint: string;
};

export type IgnoreSources = { readonly ignoreFile: string | null; readonly excludes: readonly string[] };

const PRIVATE_KEY = foldName(PRIVATE_FOLDER);
const PRIVATE: LeftOut = { source: 'ignored', line: 0, pattern: PRIVATE_FOLDER };
const PART: LeftOut = { source: 'ignored', line: 0, pattern: '.driftless-*.part' };

/** Both remember verdicts; bounded, so that memory does not grow with the tree. */
const TESTS_REMEMBERED_MAX = 4096;
const FOLDERS_REMEMBERED_MAX = 4096;

/**
 * The grammar is git's (gitignore(5)), and case counts, so that a line means the same on every device. The ignore file itself is not
 * left out by its own lines: devices that do not have the same rules would not have the same tree.
 */
export function openIgnoreRules({ ignoreFile, excludes }: IgnoreSources): IgnoreRules {
  const lines = ignoreFile === null ? [] : linesOf(ignoreFile);
  const sources = [patternSet('ignored', lines), patternSet('excluded', excludes)];
  const folders = new Map<string, LeftOut | null>();

  function ofItself(path: string, name: string, kind: NodeKind): LeftOut | null {
    const builtIn = neverSynced(name);
    if (builtIn !== null) return builtIn;
    for (const { source, find } of sources) {
      if (source === 'ignored' && path === IGNORE_FILE) continue;
      const found = find(path, name, kind);
      if (found !== null) return found;
    }
    return null;
  }
  function ofFolder(path: string): LeftOut | null {
    if (path === '') return null;
    const known = folders.get(path);
    if (known !== undefined) return known;
    const found = match(path, 'folder');
    if (folders.size >= FOLDERS_REMEMBERED_MAX) folders.clear();
    folders.set(path, found);
    return found;
  }
  function match(path: string, kind: NodeKind): LeftOut | null {
    const slash = path.lastIndexOf('/');
    return (slash === -1 ? null : ofFolder(path.slice(0, slash))) ?? ofItself(path, path.slice(slash + 1), kind);
  }

  const arePlaces = [...lines, ...excludes].some((line) => isRule(line) && /\/./.test(line.trimEnd()));
  const standing: IgnoreRules['standing'] = ({ source, pattern }) => {
    const at = (source === 'ignored' ? lines : excludes).lastIndexOf(pattern);
    return at === -1 ? null : { source, line: at + 1, pattern };
  };
  return { match, standing, arePlaces, fingerprint: hash('sha256', JSON.stringify([1, lines.filter(isRule), excludes.filter(isRule)])) };
}

/** @param none rules that leave out nothing @returns rules that leave out all that either does */
export function bothRules(before: IgnoreRules, now: IgnoreRules, none: IgnoreRules): IgnoreRules {
  if (before.fingerprint === now.fingerprint || before.fingerprint === none.fingerprint) return now;
  if (now.fingerprint === none.fingerprint) return before;
  return {
    match: (path, kind) => now.match(path, kind) ?? before.match(path, kind),
    standing: (rule) => now.standing(rule) ?? before.standing(rule),
    arePlaces: now.arePlaces || before.arePlaces,
    fingerprint: hash('sha256', `${before.fingerprint} ${now.fingerprint}`),
  };
}

/** At any depth: another synced folder, or a profile with its secrets, may be inside this one. */
function neverSynced(name: string): LeftOut | null {
  if (name.charCodeAt(0) !== 0x2e) return null; // a name that folds to one with a full stop begins with one
  if (PART_NAME.test(name)) return PART;
  return name.length === PRIVATE_FOLDER.length && foldName(name) === PRIVATE_KEY ? PRIVATE : null;
}

/** As git reads them: a mark of byte order at the head and a CR before the end of a line are not part of them. */
function linesOf(text: string): string[] {
  return text.replace(/^\ufeff/, '').split(/\r?\n|\r$/);
}

function isRule(line: string): boolean {
  return line.trim() !== '' && !line.startsWith('#');
}

type PatternSet = {
  readonly source: LeftOut['source'];
  readonly find: (path: string, name: string, kind: NodeKind) => LeftOut | null;
};

/** @param lines line n + 1 is `lines[n]` */
function patternSet(source: LeftOut['source'], lines: readonly string[]): PatternSet {
  const rules = lines.flatMap((pattern, at) => (isRule(pattern) ? [{ pattern, mark: String(at + 1) }] : []));
  if (rules.length === 0) return { source, find: () => null };
  const isWorthATest = nameFilter(rules.map(({ pattern }) => pattern));
  const compiled = ignore({ ignoreCase: false }).add(rules);
  const fresh = (): Ignore => ignore({ ignoreCase: false }).add(compiled); // shares what is compiled, remembers nothing
  let tested = fresh();
  let tests = 0;
  return {
    source,
    find(path, name, kind) {
      if (!isWorthATest(name)) return null;
      if (tests >= TESTS_REMEMBERED_MAX) {
        tested = fresh();
        tests = 0;
      }
      tests += 1;
      const { rule } = tested.test(kind === 'folder' ? `${path}/` : path);
      return rule === undefined ? null : { source, line: Number(rule.mark), pattern: rule.pattern };
    },
  };
}

/**
 * Nearly every pattern names its last component, or how it ends, so nearly every path is known not to match by its name alone.
 * @returns false only where no pattern can match an entry of this name by itself, and none can cut off a folder above it that was not
 *   asked about before
 */
function nameFilter(patterns: readonly string[]): (name: string) => boolean {
  const names = new Set<string>();
  const endings: string[] = [];
  for (const pattern of patterns) {
    const last = /([^/]*)\/?$/.exec(pattern.replace(/^!/, ''))?.[1] ?? '';
    const [, star, rest = ''] = /^(\*?)(.*)$/s.exec(last) ?? [];
    if (/[\\[?*\s]/.test(rest) || rest === '') return () => true;
    if (star === '') names.add(rest);
    else endings.push(rest);
  }
  return (name) => names.has(name) || endings.some((ending) => name.endsWith(ending));
}
