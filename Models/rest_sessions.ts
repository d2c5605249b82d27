import { z } from 'zod';

/** The JSON shapes of the routes about the caller's devices and sessions. They are changed through the authentication daemon, see session_changes.ts. */

const Id = z.string().regex(/^[0-9a-f]{32}$/);

export const RestDevice = z.object({
  id: Id,
  name: z.string(),
  firstSeenAt: z.string(),
  lastSeenAt: z.string(),
  signedIn: z.boolean().describe('It has a session'),
  revokedAt: z.string().nullable().describe('When it was revoked the last time; it may have logged in again since'),
  own: z.boolean().describe('The one that asks'),
});
export type RestDevice = z.infer<typeof RestDevice>;
export const DeviceList = z.object({ devices: z.array(RestDevice) });

export const RestSession = z.object({
  id: Id,
  device: Id,
  deviceName: z.string(),
  interactive: z.boolean().describe('Of a person at a prompt: it ends when nothing is done in it'),
  beganAt: z.string(),
  lastSeenAt: z.string(),
  own: z.boolean().describe('The one that asks'),
});
export type RestSession = z.infer<typeof RestSession>;
export const SessionList = z.object({ sessions: z.array(RestSession) });
