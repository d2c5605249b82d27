import type { Inode, NamedInode } from './memory_disk_nodes.ts';
import { makeContentDurable, tear } from './memory_disk_nodes.ts';

/** A name that was given or taken away. A rename is both in one. */
export type NameChange = {
  readonly inode: Inode;
  readonly removed: Place | null;
  readonly added: (Place & { readonly named: NamedInode }) | null;
};
type Place = { readonly folder: Inode; readonly key: string };

/**
 * Changes of names that a power cut may take back, in the order in which they were made. What is promised: the names of a folder are durable after a
 * sync of that folder; a rename never loses what it moves, so a folder that it moves to is there with it, but until both folders are synced a file
 * may be found under both names. All else is up to chance: any of the changes may be there without those before it to other names, unless that made a folder disappear that is not empty.
 */
export class NameJournal {
  #pending: NameChange[] = [];

  get length(): number {
    return this.#pending.length;
  }

  add(change: NameChange): void {
    this.#pending.push(change);
  }

  syncFolder(folder: Inode): void {
    folder.durable.attributes = folder.attributes;
    for (const change of [...this.#pending]) {
      if (
        change.added?.folder === folder &&
        change.removed !== null &&
        change.removed.folder !== folder &&
        change.inode.kind !== 'folder'
      ) {
        this.#split(change);
      } else if (change.added?.folder === folder || change.removed?.folder === folder) this.#settle(change);
    }
  }

  /** Its number is about to be used again: a file system has then written down that it went. */
  settleInode(ino: number): void {
    for (const change of [...this.#pending]) if (change.inode.ino === ino) this.#settle(change);
  }

  settleAll(): void {
    for (const change of this.#pending) apply(change);
    this.#pending = [];
  }

  /** What a power cut leaves. @param random decides about each change */
  cut(random: () => number): void {
    const share = [0, 0.2, 0.5, 0.8, 1][Math.floor(random() * 5)] ?? 0;
    const inOrder = random() < 0.3;
    const until = Math.floor(random() * (this.#pending.length + 1));
    for (const [index, change] of [...this.#pending].entries()) if (inOrder ? index < until : random() < share) this.#settle(change);
    this.#pending = [];
  }

  /** The folder is there, and those above it. */
  #settleWay(folder: Inode): void {
    for (let at: Inode | null = folder; at !== null; at = at.parent) {
      for (const change of [...this.#pending]) if (change.inode === at && change.added !== null) this.#settle(change);
    }
  }

  /** The new name is durable, that the old one is gone is not. */
  #split(change: NameChange): void {
    const at = this.#pending.indexOf(change);
    if (at < 0) return;
    this.#pending.splice(at, 1, { ...change, removed: null }, { ...change, added: null });
    this.#settle(this.#pending[at]);
  }

  /** With all that happened to the same names before it. */
  #settle(change: NameChange | undefined): void {
    if (change === undefined || !this.#pending.includes(change)) return;
    const earlier = this.#pending.splice(0, this.#pending.indexOf(change));
    this.#pending.shift();
    this.#pending.unshift(...earlier);
    if (change.inode.kind === 'folder' && change.added === null) this.syncFolder(change.inode); // it was empty when it went
    for (const other of earlier) if (touchSameName(other, change) || bothMoveFolders(other, change)) this.#settle(other);
    if (change.removed !== null && change.added !== null) this.#settleWay(change.added.folder);
    apply(change);
  }
}

function touchSameName(one: NameChange, other: NameChange): boolean {
  const places = (change: NameChange): (Place | null)[] => [change.removed, change.added];
  return places(one).some((a) => places(other).some((b) => a !== null && b !== null && a.folder === b.folder && a.key === b.key));
}

/** Whether a folder may be where it is depends on where the others are. */
function bothMoveFolders(one: NameChange, other: NameChange): boolean {
  return [one, other].every(({ inode, removed, added }) => inode.kind === 'folder' && removed !== null && added !== null);
}

/** Only what a file system could be found in: no folder in itself or in two places, none gone that holds something. */
function apply({ inode, removed, added }: NameChange): void {
  const isFolder = inode.kind === 'folder';
  if (added === null) {
    if (isFolder && inode.durable.entries.size > 0) return;
  } else {
    const there = added.folder.durable.entries.get(added.key)?.inode;
    if (there !== undefined && there !== inode && there.kind === 'folder' && there.durable.entries.size > 0) return;
    if (isFolder && isDurablyBelow(added.folder, inode)) return;
  }
  if (removed !== null && removed.folder.durable.entries.get(removed.key)?.inode === inode)
    removed.folder.durable.entries.delete(removed.key);
  if (added !== null) added.folder.durable.entries.set(added.key, added.named);
}

function isDurablyBelow(folder: Inode, ancestor: Inode): boolean {
  if (folder === ancestor) return true;
  return [...ancestor.durable.entries.values()].some(({ inode }) => inode.kind === 'folder' && isDurablyBelow(folder, inode));
}

/** After a power cut: the tree becomes what is durable of it. @returns everything that is in it */
export function rebuild(root: Inode, random: () => number): Set<Inode> {
  const reached = new Set<Inode>([root]);
  for (const folder of reached) {
    for (const [key, { inode }] of [...folder.durable.entries]) {
      if (inode.kind === 'folder' && reached.has(inode)) folder.durable.entries.delete(key);
      else reached.add(inode);
      if (inode.kind === 'folder') inode.parent = folder;
    }
  }
  for (const inode of reached) {
    tear(inode, random);
    Object.assign(inode, {
      links: 0,
      handles: 0,
      bytes: inode.durable.bytes,
      attributes: inode.durable.attributes,
      unsynced: [],
    });
    inode.entries = new Map(inode.durable.entries);
  }
  for (const inode of reached) for (const child of inode.entries.values()) child.inode.links += 1;
  return reached;
}

export function makeAllDurable(root: Inode, journal: NameJournal): void {
  journal.settleAll();
  const folders = [root];
  for (const folder of folders) {
    folder.durable.attributes = folder.attributes;
    for (const { inode } of folder.entries.values()) {
      if (inode.kind === 'folder') folders.push(inode);
      else makeContentDurable(inode);
    }
  }
}
