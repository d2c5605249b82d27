import { z } from 'zod';

/** The JSON shapes of the routes about events and presence. */

/** A client without `since` gets hints alone. */
export const EventsQuery = z.object({
  since: z.string().min(1).max(8192).optional().describe('A cursor, `start` or `now`: the changes behind it are told themselves'),
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
