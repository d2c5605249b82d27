import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { RemotePath, RoleName, UserName } from './rest.ts';

/** The JSON shapes of the routes with which people share folders. */

export const InviteBody = z.object({
  path: RemotePath,
  user: UserName,
  role: RoleName.default('viewer'),
  message: z.string().max(LIMITS.invitationMessageBytesMax).optional(),
  lifetimeS: z
    .int()
    .min(1)
    .max(LIMITS.invitationLifetimeMsMax / 1000)
    .default(LIMITS.invitationLifetimeMs / 1000)
    .describe('Seconds from now in which it can be accepted'),
});
export const RestInvitation = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  folder: z.string(),
  from: z.string(),
  to: z.string(),
  role: RoleName,
  state: z.enum(['pending', 'accepted', 'declined', 'expired', 'revoked']),
  message: z.string().nullable(),
  createdAt: z.string(),
  expiresAt: z.string().nullable().describe('Null: never'),
  answeredAt: z.string().nullable().describe('When it was accepted, declined or taken back'),
});
export type RestInvitation = z.infer<typeof RestInvitation>;
export const InvitationsPage = z.object({ received: z.array(RestInvitation), sent: z.array(RestInvitation) });
export const InvitationId = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) });
export const AcceptBody = z
  .object({ at: RemotePath.optional().describe('The path it gets in your home; its name at the top if not given') })
  .nullish();
export const AcceptResult = z.object({ path: z.string().describe('Where the folder is now in your own tree') });

export const RestMember = z.object({
  user: z.string(),
  displayName: z
    .string()
    .nullable()
    .describe('What a member says to be called; chosen freely, so it proves nothing. Null: nothing, or only invited'),
  role: RoleName,
  state: z.enum(['member', 'invited']),
  inherited: z.boolean().describe('The role comes with the shared folder that this one is in'),
});
export type RestMember = z.infer<typeof RestMember>;
export const MembersPage = z.object({ members: z.array(RestMember) });
export const RoleBody = z.object({ path: RemotePath, user: UserName, role: RoleName });
export const MemberQuery = z.object({ path: RemotePath, user: UserName });
