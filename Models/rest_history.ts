import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { ChangeKindName, Digest, RemotePath, UserName } from './rest.ts';

/** The JSON shapes of the routes about the past. */

const After = z.string().max(40).optional().describe('`next` of the page before');
const Limit = z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.pageEntriesDefault);
export const HistoryPageQuery = z.object({ path: RemotePath, after: After, limit: Limit });
export const TrashQuery = z.object({ path: RemotePath.default('/'), after: After, limit: Limit });
const VersionNumber = z.int().min(1);

const act = {
  user: z.string(),
  device: z.string(),
  operation: z.string().describe('Names all that was done in one go'),
  reason: z.enum(['rewind', 'undo']).nullable().describe('Set when somebody went back'),
  at: z.string().describe('ISO 8601, UTC'),
};

export const RestVersion = z.object({
  version: z.int(),
  kind: z.enum(['file', 'folder', 'symlink']),
  path: z.string().describe('As of then'),
  size: z.int(),
  mtime: z.string(),
  digest: Digest,
  target: z.string().nullable(),
  pinned: z.boolean(),
  current: z.boolean(),
  ...act,
});
export type RestVersion = z.infer<typeof RestVersion>;
export const VersionsPage = z.object({ versions: z.array(RestVersion), next: z.string().nullable() });
export type VersionsPage = z.infer<typeof VersionsPage>;

export const RestDeed = z.object({ kind: ChangeKindName, path: z.string(), from: z.string().nullable(), version: z.int(), ...act });
export type RestDeed = z.infer<typeof RestDeed>;
export const DeedsPage = z.object({ deeds: z.array(RestDeed), next: z.string().nullable() });

export const RestTrashItem = z.object({
  id: z.int(),
  path: z.string().describe('Where it was'),
  kind: z.enum(['file', 'folder', 'symlink']),
  size: z.int(),
  ...act,
});
export type RestTrashItem = z.infer<typeof RestTrashItem>;
export const TrashPage = z.object({ items: z.array(RestTrashItem), next: z.string().nullable() });

export const RestoreBody = z.object({
  path: RemotePath,
  version: VersionNumber,
  to: RemotePath.optional().describe('Another path, where nothing may be; without it the version becomes the newest of path'),
});
export const UndeleteBody = z
  .strictObject({
    path: RemotePath.optional().describe('The last that was deleted here'),
    id: z.int().min(1).optional().describe('Of an item of the trash'),
    to: RemotePath.optional().describe('Where to; where it was if missing'),
  })
  .refine(({ path, id }) => (path === undefined) !== (id === undefined), 'either path or id');
export const UndeleteResult = z.object({ path: z.string(), version: z.int() });

const VersionInQuery = z.coerce.number().int().min(1);
export const DiffQuery = z.object({
  path: RemotePath,
  from: VersionInQuery,
  to: VersionInQuery.optional().describe('The newest if missing'),
});
export const RestDiff = z.object({
  path: z.string(),
  from: z.int(),
  to: z.int(),
  diff: z.string().describe('Unified, of text in UTF-8; empty if they are the same'),
});
export type RestDiff = z.infer<typeof RestDiff>;
export const PinBody = z.strictObject({ path: RemotePath, version: VersionNumber });
export const PinQuery = z.object({ path: RemotePath, version: VersionInQuery });

const Moment = z.iso.datetime({ offset: true });
export const RewindBody = z
  .strictObject({
    path: RemotePath,
    time: Moment.optional().describe('What was done later is taken back'),
    cursor: z.string().min(1).max(8192).optional().describe('Of a change: what came behind it is taken back'),
  })
  .refine(({ time, cursor }) => (time === undefined) !== (cursor === undefined), 'either time or cursor');
export const UndoBody = z.union([
  z.strictObject({ operation: z.string().regex(/^([0-9a-f]{32}|[1-9][0-9]{0,15})$/) }),
  z.strictObject({
    device: z.string().min(1).max(255),
    since: Moment,
    user: UserName.optional().describe('Whose device; your own if missing'),
  }),
]);

/** What going back would do is named by what was asked and the digest of the answer. */
const PlanToken = z.string().min(1).max(16_384).describe('Names exactly this plan');
const StepKind = z.enum(['delete', 'move', 'restore', 'content']);
const counts = z.object({ delete: z.int(), move: z.int(), restore: z.int(), content: z.int() });
export const RestPlanStep = z.object({
  kind: StepKind.describe('`restore` is out of the trash'),
  path: z.string(),
  from: z.string().nullable(),
  entry: z.enum(['file', 'folder', 'symlink']),
  size: z.int(),
});
export type RestPlanStep = z.infer<typeof RestPlanStep>;
export const RestPlanConflict = z.object({
  path: z.string(),
  reason: z.enum([
    'folder_gone',
    'name_taken',
    'not_empty',
    'into_itself',
    'path_too_long',
    'changed_since',
    'thinned',
    'shared',
    'forbidden',
    'unknown',
  ]),
  by: z
    .object({ user: z.string(), device: z.string(), operation: z.string(), at: z.string() })
    .nullable()
    .describe('Of `changed_since`: who did'),
});
export type RestPlanConflict = z.infer<typeof RestPlanConflict>;
export const RestPlan = z.object({
  plan: PlanToken,
  counts,
  steps: z.array(RestPlanStep).describe('In the order in which they would be done'),
  conflicts: z.array(RestPlanConflict).describe('What would not be done'),
  next: z.string().nullable().describe('Pass as `after` with `plan` for the next steps and conflicts'),
});
export type RestPlan = z.infer<typeof RestPlan>;
export const PlanQuery = z.object({ plan: PlanToken, after: z.string().max(16).optional(), limit: Limit });
export const PlanBody = z.strictObject({ plan: PlanToken });
export const PlanResult = z.object({ operation: z.string().describe('What `undo` takes'), counts });
export type PlanResult = z.infer<typeof PlanResult>;
