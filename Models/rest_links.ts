import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { LINK_ACTIONS, LINK_MODES, LINK_STATES } from './links.ts';
import { RemotePath } from './rest.ts';

/** The JSON shapes of public links. */

const LinkIdText = z.string().regex(/^[0-9a-f]{32}$/);
const encoder = new TextEncoder();

export const LinkPassword = z
  .string()
  .refine((text) => text.isWellFormed() && encoder.encode(text).length <= LIMITS.passwordBytesMax, 'too long')
  .refine((text) => encoder.encode(text).length >= LIMITS.linkPasswordBytesMin, 'too short')
  .describe(`${LIMITS.linkPasswordBytesMin} to ${LIMITS.passwordBytesMax} bytes of UTF-8`);

export const LinkBody = z.object({
  path: RemotePath,
  mode: z.enum(LINK_MODES).default('download'),
  password: LinkPassword.optional(),
  expiresInSeconds: z.int().min(1).max(LIMITS.linkSecondsMax).optional(),
  usesMax: z.int().min(1).max(LIMITS.linkUsesMax).optional(),
});

export const RestLink = z.object({
  id: LinkIdText,
  maker: z.string().describe('User name'),
  mode: z.enum(LINK_MODES),
  state: z.enum(LINK_STATES),
  path: z.string().nullable().describe('Where you see what it leads to, or the shared folder of yours that it shows'),
  hasPassword: z.boolean(),
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  usesMax: z.int().nullable(),
  uses: z.int(),
});
export type RestLink = z.infer<typeof RestLink>;

export const MadeLink = RestLink.extend({
  token: z.string().describe('What makes the URL: shown once and stored nowhere'),
});

export const LinksQuery = z.object({
  path: RemotePath.optional().describe('Only links that show what is there'),
  after: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(LIMITS.pageEntriesMax).default(LIMITS.pageEntriesDefault),
});
export const LinksPage = z.object({ links: z.array(RestLink), next: z.string().nullable() });
export const LinkId = z.object({ id: LinkIdText });

export const RestLinkAccess = z.object({
  action: z.enum(LINK_ACTIONS),
  address: z.string(),
  path: z.string().describe('Below the link'),
  firstAt: z.string(),
  lastAt: z.string(),
  requests: z.int(),
  bytes: z.int().describe('Of content'),
});
export type RestLinkAccess = z.infer<typeof RestLinkAccess>;
export const LinkLog = z.object({ accesses: z.array(RestLinkAccess).describe('The newest first') });
