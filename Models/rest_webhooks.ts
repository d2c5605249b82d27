import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { WEBHOOK_KINDS, WEBHOOK_STATES } from './webhooks.ts';

/** The JSON shapes of the routes about webhooks. */

const WebhookIdText = z.string().regex(/^[0-9a-f]{32}$/);
const Kinds = z.array(z.enum(WEBHOOK_KINDS)).min(1).max(WEBHOOK_KINDS.length);

export const WebhookBody = z.object({
  url: z.string().min(1).max(LIMITS.webhookUrlCharsMax).describe('http or https, without user name, password and fragment'),
  kinds: Kinds.optional().describe('Everything if not given'),
});

export const RestWebhook = z.object({
  id: WebhookIdText,
  url: z.string(),
  kinds: Kinds.nullable().describe('Null: everything'),
  state: z.enum(WEBHOOK_STATES),
  createdAt: z.string(),
  failures: z.int().describe('Attempts in a row that failed'),
  failingSince: z.string().nullable(),
  reason: z.string().nullable().describe('Why the last attempt failed'),
  nextAt: z.string().nullable().describe('When it is tried again'),
});
export type RestWebhook = z.infer<typeof RestWebhook>;

export const MadeWebhook = RestWebhook.extend({ secret: z.string().describe('Key of the signatures; shown only now') });
export const WebhookList = z.object({ webhooks: z.array(RestWebhook) });
export const WebhookId = z.object({ id: WebhookIdText });
