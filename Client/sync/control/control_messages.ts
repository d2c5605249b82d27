import { z } from 'zod';
import { ERROR_CODES } from '../../../Models/errors.ts';
import { REASONS, STATES } from '../reasons.ts';

/**
 * What the command line and a process that syncs a folder say to each other: one request and then any number of rows, each a line of JSON.
 * Both are programs of one user on one machine, but perhaps of different age.
 */

const PATH_CHARACTERS_MAX = 4096;
const path = z.string().max(PATH_CHARACTERS_MAX); // relative to the synced folder, '' is itself
const rate = z.int().positive().nullable(); // bytes per second; null: no limit

export const ControlRequest = z.discriminatedUnion('type', [
  z.strictObject({ type: z.enum(['status', 'conflicts', 'dry-run', 'approve', 'pause', 'resume']) }),
  z.strictObject({ type: z.literal('explain'), path }),
  z.strictObject({ type: z.literal('resolve'), path, keep: z.enum(['mine', 'theirs', 'both']) }),
  z.strictObject({ type: z.literal('limits'), up: rate, down: rate }),
]);
export type ControlRequest = z.infer<typeof ControlRequest>;

export const Failure = z.object({ code: z.enum(ERROR_CODES), message: z.string() });

/** A guard that stopped, `reason` one of those whose name begins with `held_`. */
const HeldRow = z.object({ reason: z.enum(REASONS), meaning: z.string(), next: z.string() });

export const StatusRow = z.object({
  local: z.string(),
  remote: z.string(),
  /** `waiting`: some entries differ and cannot be synced just now; `stopped`: no process syncs it; `failed`: `error` ended it. */
  state: z.enum(['in_sync', 'working', 'waiting', 'held', 'paused', 'offline', 'stopped', 'failed']),
  error: Failure.nullable(),
  held: z.array(HeldRow),
  files: z.int().nonnegative(), // that both sides agree on
  waiting: z.int().nonnegative(), // entries in which they differ
  problems: z.array(z.object({ path: z.string(), reason: z.enum(REASONS), meaning: z.string(), next: z.string() })),
  problemCount: z.int().nonnegative(), // of which `problems` are the first
  conflicts: z.int().nonnegative(),
  watching: z.object({ watched: z.int(), of: z.int() }).nullable(), // folders
  limitUp: rate,
  limitDown: rate,
  /** What passes just now, bytes per second. */
  rateUp: z.int().nonnegative().default(0),
  rateDown: z.int().nonnegative().default(0),
});
export type StatusRow = z.infer<typeof StatusRow>;

export const ExplainRow = z.object({
  path: z.string(),
  state: z.enum(STATES),
  reason: z.enum(REASONS),
  meaning: z.string(),
  next: z.string(),
  node: z.int().nullable().default(null), // on the server
});
export type ExplainRow = z.infer<typeof ExplainRow>;

export const ConflictEntry = z.object({
  path: z.string(), // theirs: what has the name on all devices
  copy: z.string(), // mine: this device's version, under its conflict name
  kind: z.string(),
  baseVersion: z.int().nullable(), // what both came from, on the server
  at: z.string(), // ISO 8601
});
export type ConflictEntry = z.infer<typeof ConflictEntry>;

export const PLAN_KINDS = ['up', 'down', 'move', 'delete', 'conflict', 'attributes', 'compare'] as const;
export const PlanRow = z.object({
  kind: z.enum(PLAN_KINDS),
  /** Where it happens; `null`: on neither side, something is only compared or remembered. */
  side: z.enum(['local', 'remote']).nullable(),
  path: z.string(),
  to: z.string().nullable(), // of a move; of a conflict the name of the copy
  entry: z.enum(['file', 'folder', 'symlink']),
  bytes: z.int().nonnegative(), // of content that may have to travel
});
export type PlanRow = z.infer<typeof PlanRow>;

export const DoneRow = z.object({ done: z.string() });
export type DoneRow = z.infer<typeof DoneRow>;

/** A line of an answer. */
export const ControlLine = z.union([
  z.strictObject({ row: z.unknown() }),
  z.strictObject({ end: z.literal(true) }),
  z.strictObject({ error: Failure }),
]);
