import { z } from 'zod';
import { ERROR_CODES } from './errors.ts';
import { LIMITS } from './limits.ts';
import { NOTICE_KINDS } from './notices.ts';
import type { Base } from './operations.ts';
import { END_REASONS } from './session_ends.ts';

/** The JSON shapes of the REST routes. The server makes its OpenAPI document from them, the client parses answers with them. */

export const Digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('Content id: 64 hex digits');
export const RemotePath = z
  .string()
  .min(1)
  .max(LIMITS.pathBytesMax)
  .startsWith('/')
  .describe('Path in your own tree, for example /reports/q3.pdf');
export const RoleName = z.enum(['viewer', 'editor', 'owner']);
export const UserName = z.string().min(1).max(LIMITS.userNameBytesMax);

export const RestEntry = z.object({
  path: z.string(),
  kind: z.enum(['file', 'folder', 'symlink']),
  size: z.int(),
  mtime: z.string().describe('ISO 8601, UTC, microseconds'),
  version: z.int(),
  digest: Digest.nullable(),
  executable: z.boolean(),
  target: z.string().nullable().describe('Where a symlink points'),
  shared: z.object({ role: RoleName, owner: z.string() }).nullable().describe('Set on the top of a folder that is shared with others'),
});
export type RestEntry = z.infer<typeof RestEntry>;

export const RestPage = z.object({
  entries: z.array(RestEntry),
  next: z.string().nullable().describe('Pass as `after` for the next page'),
});
export type RestPage = z.infer<typeof RestPage>;

export const ListQuery = z.object({
  path: RemotePath.default('/'),
  search: z.string().min(1).max(LIMITS.searchTextBytesMax).optional().describe('Part of a name; searches everything below path'),
  sort: z.enum(['name', 'size', 'mtime']).default('name'),
  order: z.enum(['asc', 'desc']).default('asc'),
  after: z.string().max(8192).optional(),
  limit: z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.pageEntriesDefault),
});

export const PathQuery = z.object({ path: RemotePath });
export const ContentQuery = PathQuery.extend({
  version: z.coerce.number().int().min(1).optional().describe('An older one, see `/v1/versions`'),
});
export const PathBody = z.object({ path: RemotePath });
export const FolderBody = z.object({ path: RemotePath, existingOk: z.boolean().default(false) });
export const FromToBody = z.object({ from: RemotePath, to: RemotePath });
const BaseText = z
  .string()
  .regex(/^(any|absent|[0-9]{1,15})$/)
  .default('any')
  .describe('Version this is based on, `absent` or `any`; refused with version_stale when something else is there');
export const DeleteQuery = z.object({ path: RemotePath, base: BaseText });
export const WrittenResult = z.object({ path: z.string(), version: z.int(), unchanged: z.boolean() });

/** The text fields of an upload; the file is the part that has a file name. They may come before or behind it. */
export const UploadFields = z.strictObject({
  path: RemotePath,
  mtime: z.iso.datetime({ offset: true }).optional().describe('ISO 8601, up to microseconds; the time of the upload if missing'),
  base: BaseText,
  executable: z.enum(['true', 'false']).default('false'),
  size: z
    .string()
    .regex(/^[0-9]{1,15}$/)
    .optional()
    .describe('Bytes; another length is refused with length_mismatch'),
  digest: Digest.optional().describe('Content id; other content is refused with digest_mismatch'),
});
export const UploadResult = WrittenResult.extend({ size: z.int(), digest: Digest });

/** @param text as `BaseText` */
export function parseBase(text: string): Base {
  return text === 'any' || text === 'absent' ? text : Number(text);
}

export const ChangeKindName = z.enum([
  'put',
  'symlink',
  'mkdir',
  'move',
  'copy',
  'delete',
  'share',
  'join',
  'leave',
  'import',
  'attributes',
  'restore',
  'members',
  ...NOTICE_KINDS,
]);
export const RestChange = z.object({
  cursor: z.string(),
  kind: ChangeKindName,
  path: z.string(),
  from: z.string().nullable(),
  version: z.int(),
  size: z.int(),
  digest: Digest.nullable(),
  user: z.string(),
  device: z.string(),
  at: z.string(),
  details: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .optional()
    .describe('Only of what is told to you alone: invited, role, quota, held, device'),
});
export type RestChange = z.infer<typeof RestChange>;
export const ChangesQuery = z.object({
  after: z.string().max(8192).optional(),
  limit: z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.pageEntriesDefault),
});
export const ChangesPage = z.object({ changes: z.array(RestChange), cursor: z.string(), more: z.boolean() });

export const ApprovalBody = z.object({
  path: RemotePath.default('/').describe('Anywhere in your tree; what is approved is the home or the shared folder that it is in'),
});
export const ApprovalResult = z.object({
  until: z.string().describe('ISO 8601; deletes of this device in that space are done until then'),
});

export const SyncStateBody = z.object({
  state: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .describe('Name of the index: 32 random hex digits, made with it'),
  counter: z.int().min(0).describe('Higher each time it is shown'),
  reported: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
    .describe('Mark of the last report of this index (`/v1/sync-reports`); any other is forgotten'),
});
export type SyncStateBody = z.infer<typeof SyncStateBody>;
export const SyncStateResult = z.object({
  accepted: z.boolean().describe('False: this or a higher counter was shown before, so this is an older copy of the index, or one of two'),
});

export const WhoAmI = z.object({
  user: z.string(),
  role: z.enum(['user', 'admin']),
  device: z.string(),
  session: z.string(),
  expiresAt: z.string(),
  epoch: z.string(),
});

/** RFC 9457 problem document. `code` is one of ours; `requestId` finds the request in the server's log. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  code: z.enum(ERROR_CODES),
  reason: z.enum(END_REASONS).optional().describe('Why the session has ended, with ticket_revoked'),
  requestId: z.string().optional(),
});
export type Problem = z.infer<typeof Problem>;

/** ISO 8601 in UTC with microseconds. @param us microseconds since 1970, any 53-bit integer */
export function isoFromMicroseconds(us: number): string {
  const ms = Math.floor(us / 1000);
  if (Math.abs(ms) > 8.64e15) return new Date(Math.sign(ms) * 8.64e15).toISOString();
  const rest = us - ms * 1000;
  return new Date(ms).toISOString().replace('Z', `${String(rest).padStart(3, '0')}Z`);
}

/** @param text ISO 8601 with an offset or Z; digits behind the microseconds are dropped. @returns microseconds since 1970 */
export function microsecondsFromIso(text: string): number {
  const digits = /\.(\d+)/.exec(text)?.[1] ?? '';
  const wholeSecondsMs = Date.parse(text.replace(/\.\d+/, ''));
  return wholeSecondsMs * 1000 + Number(digits.slice(0, 6).padEnd(6, '0'));
}
