import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { ChangeKindName, Digest, RemotePath } from './rest.ts';

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
