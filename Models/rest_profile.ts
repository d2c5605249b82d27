import { z } from 'zod';

/** The JSON shape of what a user says of themself. It is changed through the authentication daemon, see session_changes.ts. */
export const RestProfile = z.object({
  user: z.string(),
  displayName: z.string().nullable(),
  email: z.string().nullable(),
});
export type RestProfile = z.infer<typeof RestProfile>;
