import { z } from 'zod';
import { NOTICE_KINDS } from './notices.ts';
import { RestChange } from './rest.ts';
import { PublishedMessage } from './rest_published.ts';
import { RestSyncedRoot } from './rest_receipt.ts';

/** The JSON shapes of the routes about events and presence. */

/** A client without `since` gets hints alone. */
export const EventsQuery = z.object({
  since: z.string().min(1).max(8192).optional().describe('A cursor, `start` or `now`: the changes behind it are told themselves'),
  serves: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
    .describe('A publication of this device: its files can be asked for on this connection'),
});

export const RestOnline = z.object({
  user: z.string(),
  device: z.string().describe('Device id'),
  name: z.string().describe('What its user calls the device'),
  since: z.string().describe('ISO 8601'),
  own: z.boolean().describe('A device of yours'),
});
export type RestOnline = z.infer<typeof RestOnline>;
export const OnlineList = z.object({ devices: z.array(RestOnline) });

const Cursor = z.string().min(1).max(8192);
export const DoneBody = z.object({ cursor: Cursor.describe('Of the last event that was processed') });
export const DoneResult = z.object({ cursor: z.string().describe('Up to where all is processed now: a mark never goes back') });
export const DoneMark = z.object({ cursor: z.string().nullable().describe('Null when this device never marked anything') });
export const PingResult = z.object({ at: z.string().describe('ISO 8601, by the clock of the server') });

const Connected = z.object({ type: z.literal('connected'), cursor: z.string() });
const Told = RestChange.extend({ type: z.enum(['changed', ...NOTICE_KINDS]) });
const PresenceMessage = z.object({
  type: z.literal('presence'),
  user: z.string(),
  device: z.string(),
  name: z.string(),
  online: z.boolean(),
  since: z.string(),
});
export type PresenceMessage = z.infer<typeof PresenceMessage>;
/** What `GET /v1/sync-status` tells of one folder, when its device has said how far it is. */
const SyncedMessage = RestSyncedRoot.omit({ current: true }).extend({ type: z.literal('synced') });
export type SyncedMessage = z.infer<typeof SyncedMessage>;
const EventMessage = z.discriminatedUnion('type', [Connected, Told, PresenceMessage, PublishedMessage, SyncedMessage]);
/** Those with a `cursor` are of the journal; the others are states, which are told once, to who is connected. */
export type RestEvent = z.infer<typeof EventMessage>;

/** @returns null for what this version does not know */
export function parseEventMessage(text: unknown): RestEvent | null {
  try {
    return EventMessage.safeParse(JSON.parse(String(text))).data ?? null;
  } catch {
    return null;
  }
}
