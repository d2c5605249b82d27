import type { NetworkFault } from './sim_network.ts';

/** What a person puts into a file: bytes that nobody else ever writes, the same ones as others do, or none. */
export type ContentSpec = { readonly id: number; readonly size: number } | { readonly shared: number } | 'empty';

/** `?conflict` as a path is the first conflict copy that is there. */
export type UserAction =
  | { readonly kind: 'write' | 'save'; readonly path: string; readonly content: ContentSpec }
  | { readonly kind: 'append' | 'quiet'; readonly path: string; readonly id: number }
  /** `at`: behind which share of the file, 0 to 1. */
  | { readonly kind: 'insert'; readonly path: string; readonly id: number; readonly at: number }
  | { readonly kind: 'folder' | 'remove'; readonly path: string }
  | { readonly kind: 'move' | 'link'; readonly path: string; readonly to: string }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'time'; readonly path: string; readonly mtimeMs: number };

/**
 * What the user `by` (0 or 1) does on the server, with the other one. Paths are from the synced folder; `?share N`, `?folder N` and `?file N` are one
 * of those that are there, perhaps with a path behind it.
 */
export type ShareAction = { readonly by: 0 | 1 } & (
  | { readonly kind: 'invite' | 'role'; readonly path: string; readonly role: 'viewer' | 'editor' | 'owner' }
  /** The last invitation that is open. */
  | { readonly kind: 'accept'; readonly at: string }
  | { readonly kind: 'uninvite' | 'leave' | 'remove'; readonly path: string }
  | { readonly kind: 'move'; readonly path: string; readonly to: string }
  /** Of what was deleted, newest first. */
  | { readonly kind: 'undelete'; readonly nth: number }
  /** To when all was quiet the last time. */
  | { readonly kind: 'rewind'; readonly path: string }
  /** To the version before. */
  | { readonly kind: 'restore'; readonly path: string }
);

/** Happens at the `nth` call of a pass, counted from 1; with `name` only calls of that name count. */
export type DiskFault = {
  readonly on: 'disk';
  readonly nth: number;
  readonly name: string | null;
  readonly effect:
    | { readonly kind: 'error'; readonly code: 'EIO' | 'ENOSPC' | 'EACCES' | 'EMFILE' | 'EBUSY'; readonly times: number }
    | { readonly kind: 'short_write'; readonly bytes: number }
    /** One of what is listed is left out. */
    | { readonly kind: 'hide'; readonly share: number }
    | { readonly kind: 'kill' }
    | { readonly kind: 'power'; readonly seed: number }
    | { readonly kind: 'user'; readonly device: number; readonly action: UserAction };
};
export type NetFault = {
  readonly on: 'net';
  readonly nth: number;
  readonly when: 'before' | 'after';
  readonly effect:
    | NetworkFault
    | { readonly kind: 'kill' }
    | { readonly kind: 'user'; readonly device: number; readonly action: UserAction }
    | { readonly kind: 'pass'; readonly device: number; readonly faults: readonly PassFault[] }
    | { readonly kind: 'share'; readonly action: ShareAction };
};
export type PassFault = DiskFault | NetFault;

/** Shares of events to which each of these happens; of what the server tells, it is lost or late as often. */
export type WatchFaults = {
  readonly seed: number;
  readonly drop: number;
  readonly late: number;
  readonly duplicate: number;
  /** Several become one, of the folder. */
  readonly coalesce: number;
  /** It and some more are lost, and that is told. */
  readonly overflow: number;
  /** Another one, of what is not synced, comes too. */
  readonly ignored: number;
};
export type TimedAction = { readonly afterMs: number; readonly device: number; readonly action: UserAction };

export type Step = { readonly afterMs: number } & (
  | { readonly kind: 'user'; readonly device: number; readonly action: UserAction }
  | { readonly kind: 'share'; readonly action: ShareAction }
  | { readonly kind: 'pass'; readonly device: number; readonly hinted: boolean; readonly faults: readonly PassFault[] }
  /** For a while all devices look after themselves, and are in sync at its end without anybody's help. `passFaults`: of the passes to come, in their order. */
  | {
      readonly kind: 'live';
      readonly watch: WatchFaults;
      readonly actions: readonly TimedAction[];
      readonly sleepMs: number; // of all machines, before the last action
      readonly passFaults: readonly (readonly PassFault[])[];
    }
  /** Faults end, everybody syncs until all is quiet, everything is checked. */
  | { readonly kind: 'settle' }
  | { readonly kind: 'kill' | 'back_up_index' | 'restore_index' | 'delete_index'; readonly device: number }
  /** A pass while what is synced is not mounted, and back again. */
  | { readonly kind: 'unmounted'; readonly device: number }
  | { readonly kind: 'set_clock'; readonly device: number; readonly byMs: number }
  | { readonly kind: 'power'; readonly device: number; readonly seed: number }
  | { readonly kind: 'restart' | 'back_up_server' }
  | { readonly kind: 'restore_server'; readonly newEpoch: boolean }
);

export type DeviceOptions = {
  readonly foldsCase: boolean;
  readonly foldsUnicode: boolean;
  readonly birthTimes: boolean;
  readonly timeStepMs: number;
  readonly skewMs: number;
  /** Whose it is: 1 is a second user's. */
  readonly user?: 0 | 1;
};

/** A whole run: nothing but this decides what happens. */
export type History = {
  readonly seed: number;
  readonly tickMs: number;
  readonly devices: readonly DeviceOptions[];
  /** Files up to this length are one chunk (chunk_sizes.ts); without it as they are outside. */
  readonly chunkBytesMin?: number;
  /** What devices are called, `d0` and so on without it. */
  readonly names?: readonly string[];
  /** How many new nodes each device plans together; without it 2 on every other one. */
  readonly plannedTogether?: number;
  readonly steps: readonly Step[];
};

/** Steps, what is done within them, and faults of passes, nested ones too: what minimising counts. */
export function historySize({ steps }: History): number {
  const faults = (list: readonly PassFault[]): number =>
    list.reduce((sum, { effect }) => sum + 1 + (effect.kind === 'pass' ? faults(effect.faults) : 0), 0);
  const inside = (step: Step): number => {
    if (step.kind === 'pass') return faults(step.faults);
    return step.kind === 'live' ? step.actions.length + faults(step.passFaults.flat()) : 0;
  };
  return steps.reduce((sum, step) => sum + 1 + inside(step), 0);
}

/** The power is cut somewhere in it. */
export function losesPower(steps: readonly Step[]): boolean {
  const inFaults = (faults: readonly PassFault[]): boolean =>
    faults.some(({ effect }) => effect.kind === 'power' || (effect.kind === 'pass' && inFaults(effect.faults)));
  return steps.some((step) => {
    if (step.kind === 'pass') return inFaults(step.faults);
    return step.kind === 'power' || (step.kind === 'live' && inFaults(step.passFaults.flat()));
  });
}
