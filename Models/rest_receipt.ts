import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { RemotePath, SyncStateBody } from './rest.ts';

/** The JSON shapes of what devices report, and of where a file is. */

const Count = z.int().min(0);
const ReportMark = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .describe('32 hex digits that name what a report said');

export const SyncReportBody = SyncStateBody.pick({ state: true }).extend({
  counter: z.int().min(0).describe('The one that the index has shown last'),
  mark: ReportMark,
  root: z.int().min(1).describe('Node of the remote folder that is kept'),
  cursor: z.string().min(1).max(8192).describe('Of the change feed: all up to it is on the disk of the device, but for `missing`'),
  missing: z
    .array(z.int().min(1))
    .max(LIMITS.syncReportMissingMax)
    .nullable()
    .describe('Nodes that are not there as they were at the cursor, each with all below it; null: nothing is said to be there'),
  waiting: Count.describe('Entries in which the two sides differ'),
  problems: Count,
  held: z.boolean().describe('It waits for a person'),
});
export type SyncReportBody = z.infer<typeof SyncReportBody>;
export const SyncReportResult = z.object({ accepted: z.boolean().describe('False: another copy of the index has counted further') });

const FilePath = RemotePath.or(
  z
    .string()
    .regex(/^@[1-9][0-9]{0,15}$/)
    .describe('A node, wherever it is now'),
);
export const PlacesBody = z.object({ paths: z.array(FilePath).min(1).max(LIMITS.placesPathsMax) });
export const RestPlaces = z.object({
  path: z.string(),
  version: z.int(),
  durable: Count.describe('On how many places the file is as it is now: stores, and devices of yours'),
  stores: Count.describe('Stores of the server that have it, written through to the disk'),
  devices: z
    .array(z.object({ device: z.string().describe('Device id'), name: z.string(), reportedAt: z.string().describe('ISO 8601') }))
    .describe('Your devices that said to have it, and when; the last first'),
});
export type RestPlaces = z.infer<typeof RestPlaces>;
export const PlacesResult = z.object({ places: z.array(RestPlaces.nullable()).describe('In the order asked; null for what is no file') });

export const RestSyncedRoot = z.object({
  device: z.string().describe('Device id'),
  name: z.string().describe('What its user calls the device'),
  current: z.boolean().describe('The device that asks'),
  remote: z.string().nullable().describe('The folder that is kept, where it is now; null: it is not there any more'),
  state: z.enum(['in_sync', 'working', 'held', 'offline', 'signed_out', 'unknown']).describe('unknown: it knows another history'),
  behind: Count.nullable().describe('Changes there that it has not carried out, counted up to 10,000; null: it knows another history'),
  waiting: Count,
  problems: Count,
  held: z.boolean(),
  reportedAt: z.string().describe('ISO 8601'),
  seenAt: z.string().describe('ISO 8601'),
});
export type RestSyncedRoot = z.infer<typeof RestSyncedRoot>;
export const SyncStatusResult = z.object({ roots: z.array(RestSyncedRoot) });
