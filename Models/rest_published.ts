import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { RemotePath, UserName } from './rest.ts';

/** The JSON shapes of what devices publish without storing it. */

const Id = z.string().regex(/^[0-9a-f]{32}$/);
const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('SHA-256 of the content');
const FilePath = z.string().min(1).max(LIMITS.pathBytesMax).describe('Relative to the published folder, divided by slashes');
const SetName = z.string().min(1).max(LIMITS.nameBytesMax);
const After = z.string().max(16_384).optional().describe('`next` of the page before');
const Limit = z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.pageEntriesDefault);

/** The owner is always among them. */
const AudienceBody = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('everyone') }).describe('Whoever has an account'),
  z.strictObject({ kind: z.literal('users'), users: z.array(UserName).max(LIMITS.publicationUsersMax) }),
  z.strictObject({ kind: z.literal('space'), path: RemotePath }).describe('Who is a member of this shared folder at that time'),
]);
export type AudienceBody = z.infer<typeof AudienceBody>;
export const PublicationBody = z.strictObject({ name: SetName, audience: AudienceBody });
export const PublicationId = z.object({ id: Id });
export const PublicationResult = z.object({ id: z.string() });

export const RestPublication = z.object({
  id: z.string(),
  name: z.string(),
  device: z.string(),
  online: z.boolean().describe('Its device can be asked for the files now'),
  audience: z.enum(['everyone', 'users', 'space']),
  users: z.array(z.string()),
  files: z.int(),
  bytes: z.int(),
});
export type RestPublication = z.infer<typeof RestPublication>;
export const PublicationsList = z.object({ publications: z.array(RestPublication) });

export const AnnounceBody = z.strictObject({
  files: z.array(z.strictObject({ path: FilePath, size: z.int().min(0), digest: Sha256 })).max(LIMITS.announcedFilesMax),
  gone: z.array(FilePath).max(LIMITS.announcedFilesMax),
});
export type AnnounceBody = z.infer<typeof AnnounceBody>;

export const PublishedParameters = z.object({
  id: Id.optional().describe('Of one publication'),
  user: UserName.optional().describe('Of one owner'),
  name: z
    .string()
    .min(1)
    .max(LIMITS.pathBytesMax + LIMITS.nameBytesMax)
    .optional()
    .describe("A file's path, or its publication's name, a slash, and that"),
  own: z.literal('1').optional(),
  after: After,
  limit: Limit,
});
export const RestPublished = z.object({
  publication: z.string(),
  user: z.string(),
  device: z.string(),
  name: z.string().describe("The publication's name, a slash, and the path"),
  path: z.string(),
  size: z.int(),
  digest: z.string(),
  announcedAt: z.string(),
  online: z.boolean().describe("The owner's device can be asked for it now"),
  own: z.boolean(),
});
export type RestPublished = z.infer<typeof RestPublished>;
export const PublishedPage = z.object({ files: z.array(RestPublished), next: z.string().nullable() });

export const PublishedContentQuery = z.object({
  id: Id,
  path: FilePath,
  digest: Sha256.optional().describe('As it was listed: another content is refused as file_changed'),
});

export const RELAY_REFUSALS = ['file_changed', 'not_found', 'busy', 'local_io'] as const;
export type RelayRefusal = (typeof RELAY_REFUSALS)[number];
export const RelayQuery = z.object({ id: Id, refused: z.enum(RELAY_REFUSALS).optional().describe('Nothing will come, and why') });

export const RestFetch = z.object({
  id: z.string(),
  name: z.string(),
  size: z.int(),
  digest: z.string(),
  user: z.string().describe('Who fetched it'),
  device: z.string(),
  start: z.int().describe('First byte that was asked for'),
  length: z.int().describe('Bytes that were asked for'),
  sent: z.int().nullable().describe('Bytes that were given on; null while it runs, or when the server ended meanwhile'),
  at: z.string(),
});
export type RestFetch = z.infer<typeof RestFetch>;
export const FetchesQuery = z.object({ after: After, limit: Limit });
export const FetchesPage = z.object({ fetches: z.array(RestFetch), next: z.string().nullable() });

/** On the event connection of a device that serves a publication: somebody wants bytes of the file with this digest. */
export const FetchMessage = z.object({
  type: z.literal('fetch'),
  relay: Id,
  digest: Sha256,
  start: z.int().min(0),
  length: z.int().min(0),
  user: z.string(),
});
export type FetchMessage = z.infer<typeof FetchMessage>;

/** On the event connections of those whom a publication is for. `more`: there was too much to tell; ask for the list. */
export const PublishedMessage = z.object({
  type: z.literal('published'),
  id: z.string(),
  user: z.string(),
  name: z.string(),
  change: z.enum(['files', 'online', 'offline', 'withdrawn']),
  files: z.array(z.object({ path: z.string(), size: z.int(), digest: z.string() })),
  gone: z.array(z.string()),
  more: z.boolean(),
});
export type PublishedMessage = z.infer<typeof PublishedMessage>;
