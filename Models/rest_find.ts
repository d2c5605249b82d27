import { z } from 'zod';
import { FILE_KINDS } from './file_kinds.ts';
import { LIMITS } from './limits.ts';
import { RemotePath, RestEntry } from './rest.ts';

/** The JSON shapes of finding and counting. */

const FileKindName = z.enum(FILE_KINDS);
const Time = z.iso.datetime({ offset: true });

export const SearchParameters = z.object({
  text: z.string().min(1).max(LIMITS.searchTextBytesMax).describe('Part of a name, in any case'),
  kind: z.enum(['file', 'folder', 'symlink', ...FILE_KINDS]).optional(),
  since: Time.optional().describe('Modified then or later'),
  larger: z.coerce.number().int().min(0).optional().describe('Files of more bytes than this'),
  after: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.searchEntriesDefault),
});
export const SearchPage = z.object({
  entries: z.array(RestEntry),
  next: z
    .string()
    .nullable()
    .describe('Pass as `after` for the next page; a page looks at a bounded number of names, so it may be short or empty'),
});
export type SearchPage = z.infer<typeof SearchPage>;

export const StatisticsParameters = z.object({ path: RemotePath.default('/') });
export const RestStatistics = z.object({
  path: z.string(),
  files: z.int(),
  folders: z.int(),
  symlinks: z.int(),
  bytes: z.int(),
  kinds: z.array(z.object({ kind: FileKindName, files: z.int(), bytes: z.int() })).describe('The most bytes first'),
  changesSince: z.string().describe('From when on changes are counted: thirty days back, or less where there were very many'),
  days: z.array(z.object({ day: z.string(), changes: z.int() })).describe('UTC days on which something changed'),
  busiest: z.array(z.object({ path: z.string(), changes: z.int() })).describe('Folders in which most changed, under the names they had'),
});
export type RestStatistics = z.infer<typeof RestStatistics>;
