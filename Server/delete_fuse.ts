import { LIMITS } from '../Models/limits.ts';
import type { Principal } from '../Storage/metadata.ts';

/** A delete that was let through, to be settled once it is known what became of it. */
export type Admitted = { settle(outcome: 'done' | 'refused'): void };
/** Why a delete is held: with it, so many of so many files would be gone within the window. `blew`: it is the first. */
export type Held = { readonly deleted: number; readonly living: number; readonly blew: boolean };

type Entry = { readonly atMs: number; files: number };
type Window = {
  /** What was deleted, the oldest first. */
  readonly entries: Entry[];
  deleted: number; // files in `entries`
  /** Of these, not committed yet. */
  unsettled: number;
  /** Files there were when the window began, as counted at `countedAtMs`. */
  living: number;
  countedAtMs: number;
  held: boolean;
  approvedUntilMs: number;
};

/** Deletes that come within so short a time are one entry, so that a window has a bounded number of them. */
const ENTRY_MS = 1000;

/**
 * Holds the deletes of a device that goes wrong: one whose disk was emptied, or whose files were renamed by something that encrypts
 * them. Each device has a window for each space; more than `LIMITS.deletesFreeMax` files within `LIMITS.deleteWindowMs` that are also more than
 * `LIMITS.deletesFreeShare` of what was there when the window began blow the fuse, and from then on nothing is let through until a
 * person approves it. It is kept in memory: after a restart each device begins a new window.
 */
export class DeleteFuse {
  readonly #livingFiles: (space: number) => Promise<number>;
  readonly #nowMs: () => number;
  readonly #windows = new Map<string, Window>();

  /** @param nowMs of a clock that is never set */
  constructor(livingFiles: (space: number) => Promise<number>, nowMs: () => number) {
    this.#livingFiles = livingFiles;
    this.#nowMs = nowMs;
  }

  /** Counts a delete if it may be done. The space's files are only counted once the first hundred have gone. */
  async admit(who: Principal, { space, files }: { readonly space: number; readonly files: number }): Promise<Admitted | Held> {
    const window = this.#window(who, space);
    const nowMs = this.#nowMs();
    if (nowMs < window.approvedUntilMs) return FREE;
    if (files === 0 && !window.held) return FREE;
    forgetOld(window, nowMs);
    const isFree = (): boolean => window.deleted + files <= LIMITS.deletesFreeMax;
    if (!window.held && !isFree() && nowMs - window.countedAtMs >= LIMITS.deleteWindowMs) {
      const living = await this.#livingFiles(space);
      window.living = living + window.deleted - window.unsettled;
      window.countedAtMs = nowMs;
    }
    const deleted = window.deleted + files;
    const allowed = isFree() || deleted <= window.living * LIMITS.deletesFreeShare;
    if (allowed && !window.held) return count(window, files, nowMs);
    const blew = !window.held;
    window.held = true;
    return { deleted, living: window.living, blew };
  }

  /** The device's deletes in this space are let through for a while, uncounted; after that a new window begins. @returns until when, in ms from now */
  approve(who: Principal, space: number): number {
    const window = this.#window(who, space);
    Object.assign(window, newWindow(), { approvedUntilMs: this.#nowMs() + LIMITS.deleteApprovalMs });
    return LIMITS.deleteApprovalMs;
  }

  #window({ userId, deviceId }: Principal, space: number): Window {
    const key = `${userId} ${deviceId} ${space}`;
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    if (this.#windows.size >= LIMITS.deleteWindowsMax) this.#forgetIdle();
    const made = newWindow();
    this.#windows.set(key, made);
    return made;
  }

  /**
   * Makes room: all that hold nothing, or if there is none of these, one of the user who has most, whoever needs it. So nobody lifts
   * with many devices what holds others, neither by own deletes nor by those of a third.
   */
  #forgetIdle(): void {
    const nowMs = this.#nowMs();
    const counts = new Map<string, number>();
    for (const [key, window] of this.#windows) {
      forgetOld(window, nowMs);
      if (window.deleted === 0 && !window.held && nowMs >= window.approvedUntilMs) this.#windows.delete(key);
      else counts.set(userOf(key), (counts.get(userOf(key)) ?? 0) + 1);
    }
    if (this.#windows.size < LIMITS.deleteWindowsMax) return;
    const most = Math.max(...counts.values());
    const theirs = this.#windows
      .entries()
      .filter(([key]) => counts.get(userOf(key)) === most)
      .toArray();
    const [key] = theirs.find(([, { held }]) => !held) ?? theirs[0] ?? [''];
    this.#windows.delete(key);
  }
}

const userOf = (key: string): string => key.slice(0, key.indexOf(' '));

export function isHeld(answer: Admitted | Held): answer is Held {
  return 'deleted' in answer;
}

const FREE: Admitted = { settle: () => undefined };

function newWindow(): Window {
  const never = Number.NEGATIVE_INFINITY;
  return { entries: [], deleted: 0, unsettled: 0, living: 0, countedAtMs: never, held: false, approvedUntilMs: never };
}

function forgetOld(window: Window, nowMs: number): void {
  for (let oldest = window.entries[0]; oldest !== undefined && nowMs - oldest.atMs >= LIMITS.deleteWindowMs; oldest = window.entries[0]) {
    window.deleted -= oldest.files;
    window.entries.shift();
  }
}

function count(window: Window, files: number, nowMs: number): Admitted {
  let entry = window.entries.at(-1);
  if (entry === undefined || nowMs - entry.atMs >= ENTRY_MS) {
    entry = { atMs: nowMs, files: 0 };
    window.entries.push(entry);
  }
  const counted = entry;
  counted.files += files;
  window.deleted += files;
  window.unsettled += files;
  return {
    settle(outcome) {
      window.unsettled -= files;
      if (outcome === 'done' || !window.entries.includes(counted)) return;
      counted.files -= files;
      window.deleted -= files;
    },
  };
}
