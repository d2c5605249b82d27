import { hash } from 'node:crypto';
import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';

/** What a file or symlink holds, as the ledger knows it. */
export type ContentKey = string;

const KEYS = new WeakMap<Buffer, ContentKey>(); // found bytes are never changed

export function contentKey(found: Pick<Found, 'stat' | 'bytes' | 'target'>): ContentKey | null {
  if (found.stat.kind === 'symlink') return `link ${found.target}`;
  if (found.stat.kind !== 'file') return null;
  if (found.bytes.length === 0) return 'empty';
  const key = KEYS.get(found.bytes) ?? hash('sha1', found.bytes, 'hex');
  KEYS.set(found.bytes, key);
  return key;
}

/**
 * Every content that a person ever wrote. It is protected from then on, until a person replaces or deletes it on a device where it was to be
 * seen and is not any more (as often as there were places of it): no conflict, crash or fault may make it disappear.
 */
export class Ledger {
  readonly #known = new Map<ContentKey, string>(); // what to call it
  readonly #protected = new Set<ContentKey>();
  readonly #taken = new Map<ContentKey, number>(); // places from which people took it, on whichever device
  readonly #twice = new Map<ContentKey, number>(); // how often it may be there in addition
  readonly #expected = new Map<ContentKey, number>(); // places at which it was when all was quiet
  readonly #places = new Map<ContentKey, number>(); // most places at which people had it on one device

  /**
   * Something that an action of a person did. @param before what was live on that device; @param after what is
   * @param stays what others keep, whatever this person does to it
   */
  observe(
    before: ReadonlyMap<ContentKey, number>,
    after: ReadonlyMap<ContentKey, number>,
    { what, stays = () => false }: { readonly what: string; readonly stays?: (key: ContentKey) => boolean },
  ): void {
    for (const key of after.keys()) {
      if (before.has(key)) continue;
      if (!this.#known.has(key)) this.#known.set(key, what);
      if (key !== 'empty') this.#protected.add(key);
    }
    for (const [key, count] of after) this.#places.set(key, Math.max(count, this.#places.get(key) ?? 0));
    for (const [key, count] of before) {
      const less = Math.max(0, count - (after.get(key) ?? 0));
      if (less > 0 && stays(key)) continue;
      const taken = (this.#taken.get(key) ?? 0) + less;
      this.#taken.set(key, taken);
      if (taken >= (this.#places.get(key) ?? 0)) this.#protected.delete(key);
    }
  }

  /** So often it is there on each device. */
  expect(live: ReadonlyMap<ContentKey, number>): void {
    for (const [key, count] of live) this.#expected.set(key, count);
  }

  /** A person replaced it under all the names it had on a device. */
  takenEverywhere(key: ContentKey): void {
    this.#protected.delete(key);
  }

  /** What replaced a file by a rename is a new content of that file, and may be elsewhere too by the time others hear of it. */
  mayBeTwice(key: ContentKey): void {
    this.#twice.set(key, (this.#twice.get(key) ?? 0) + 1);
  }

  /** Nobody wrote it: it was made up, torn or mixed. */
  isFabricated(key: ContentKey): boolean {
    return !this.#known.has(key);
  }

  /** What must be there and is not. */
  missing(live: ReadonlyMap<ContentKey, number>): string[] {
    return [...this.#protected].filter((key) => !live.has(key)).map((key) => this.nameOf(key));
  }

  /** At how many places people had it on one device at most, or it was when all was quiet. */
  placesOf(key: ContentKey): number {
    return key === 'empty' || this.nameOf(key).includes('"shared"')
      ? Number.POSITIVE_INFINITY
      : Math.max((this.#places.get(key) ?? 0) + (this.#twice.get(key) ?? 0), this.#expected.get(key) ?? 0);
  }

  nameOf(key: ContentKey): string {
    return `${this.#known.get(key) ?? 'unknown'} (${key.slice(0, 12)})`;
  }
}

/** How often each content is live in a tree. */
export function liveContents(tree: readonly Found[]): Map<ContentKey, number> {
  const live = new Map<ContentKey, number>();
  for (const found of tree) {
    const key = contentKey(found);
    if (key !== null) live.set(key, (live.get(key) ?? 0) + 1);
  }
  return live;
}
