import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import { foldName } from '../../Models/names.ts';
import type { UserAction } from './history.ts';
import { contentKey } from './ledger.ts';

type Role = 'create' | 'edit' | 'delete' | 'folder delete' | 'move' | 'attributes';
type Touched = { readonly device: number; readonly path: string; readonly role: Role; readonly removes: boolean };

const FOLDER = 'folder';

/**
 * What people did since everybody had last the same. Where only one did something, the outcome is known: what that person left. Where several did,
 * what one of them deleted and nobody else touched must stay away.
 */
export class Epoch {
  readonly #touched: Touched[] = [];
  readonly #left = new Map<number, readonly Found[]>();
  #before = new Map<string, string>(); // path to content, or FOLDER
  #unsure = false;

  /** @param paths what was touched, of a move where it was and where it is */
  acted(device: number, paths: readonly string[], action: UserAction, after: readonly Found[]): string[] {
    const labels = paths.flatMap((path) => this.#kindChange(path, after));
    const [from, to] = paths;
    if (action.kind === 'move' && from !== undefined && to !== undefined && folded(from) === folded(to)) labels.push('case-only rename');
    for (const [at, path] of paths.entries()) {
      this.#touched.push({ device, path, role: this.#roleOf(action, path, at), removes: action.kind === 'remove' });
    }
    this.#left.set(device, after);
    return labels;
  }

  #kindChange(path: string, after: readonly Found[]): string[] {
    const before = this.#before.get(path);
    const now = after.find((found) => found.path === path);
    const changed = before !== undefined && now !== undefined && (before === FOLDER) !== (now.stat.kind === 'folder');
    return changed ? ['file/folder'] : [];
  }

  #roleOf({ kind }: UserAction, path: string, at: number): Role {
    const before = this.#before.get(path);
    switch (kind) {
      case 'remove':
        return before === FOLDER ? 'folder delete' : 'delete';
      case 'move':
        return at === 0 ? 'move' : 'create';
      case 'mode':
      case 'time':
        return 'attributes';
      default:
        return before === undefined ? 'create' : 'edit';
    }
  }

  /** Something happened after which what is deleted may come back: an old index, an old server. */
  loosen(): void {
    this.#unsure = true;
  }

  /** What the only person who did anything left; `null` if there was none, or several. */
  onlyPerson(): { readonly device: number; readonly tree: readonly Found[] } | null {
    const [entry, ...more] = this.#left;
    return entry === undefined || more.length > 0 || this.#unsure ? null : { device: entry[0], tree: entry[1] };
  }

  /** Paths that one person deleted and no other touched, nor anything above or below. */
  mustBeAbsent(): string[] {
    if (this.#unsure) return [];
    return this.#touched
      .filter((touched) => touched.removes && this.knew(touched.path) && this.#isLastWord(touched))
      .map(({ path }) => path);
  }

  #isLastWord(touched: Touched): boolean {
    const related = this.#touched.filter(({ path }) => isRelated(path, touched.path));
    return related.every(({ device }) => device === touched.device) && related.at(-1) === touched;
  }

  /** Nobody touched what somebody else touched: then there is nothing to be in conflict about. */
  get isDisjoint(): boolean {
    return !this.#unsure && this.#meetings().length === 0;
  }

  /** What met: `edit/delete` and the like. */
  labels(): string[] {
    return this.#meetings().map(([one, other]) => {
      if (one.path !== other.path && [one, other].some(({ role }) => role === 'folder delete')) return 'folder delete/change inside';
      return [one.role, other.role].sort().join('/');
    });
  }

  #meetings(): [Touched, Touched][] {
    return this.#touched.flatMap((one, at) =>
      this.#touched.slice(at + 1).flatMap((other): [Touched, Touched][] => {
        return one.device !== other.device && isRelated(one.path, other.path) ? [[one, other]] : [];
      }),
    );
  }

  /**
   * Several moved it, each elsewhere, and one more deleted it: a move beats a delete for each of them, and nothing tells that what they have is one.
   * @returns how often this content may be there for that
   */
  movedAndDeleted(content: string): number {
    const paths = [...this.#before].filter(([, key]) => key === content).map(([path]) => path);
    const about = this.#touched.filter((touched) => paths.some((path) => path === touched.path || path.startsWith(`${touched.path}/`)));
    return about.some(({ removes }) => removes) ? new Set(about.filter(({ role }) => role === 'move').map(({ device }) => device)).size : 0;
  }

  /** It was there when this epoch began. */
  knew(path: string): boolean {
    return this.#before.has(path);
  }

  /** Something of that name was there, perhaps elsewhere. */
  knewName(path: string): boolean {
    return [...this.#before.keys()].some((other) => nameOf(other) === nameOf(path));
  }

  begin(tree: readonly Found[]): void {
    this.#touched.length = 0;
    this.#left.clear();
    this.#unsure = false;
    this.#before = new Map(tree.map((found) => [found.path, contentKey(found) ?? FOLDER]));
  }
}

/** The same, or one above the other, where names fold. */
function isRelated(one: string, other: string): boolean {
  const [a, b] = [folded(one), folded(other)];
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

function folded(path: string): string {
  return path.split('/').map(foldName).join('/');
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
