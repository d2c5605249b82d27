import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { MadeWebhook, type RestWebhook, WebhookBody, WebhookId, WebhookList } from '../../Models/rest_webhooks.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Webhook, Webhooks } from '../../Storage/webhooks.ts';
import type { Authenticate } from '../authenticate.ts';
import { NOTHING, PROBLEMS } from '../openapi.ts';
import { isoFromMilliseconds, isoOrNull } from '../rest_shapes.ts';
import type { WebhookHosts } from '../webhook_addresses.ts';
import type { WebhookDelivery } from './webhook_delivery.ts';

export type WebhookRouteDeps = {
  readonly webhooks: Pick<Webhooks, 'add' | 'list' | 'remove'>;
  readonly webhookHosts: WebhookHosts;
  readonly webhookDelivery: Pick<WebhookDelivery, 'refresh'>;
  readonly authenticate: Authenticate;
};

const SECRET_BYTES = 32;

/** Addresses that are sent what the caller's change feed tells. */
export function registerWebhookRoutes(
  plain: FastifyInstance,
  { webhooks, webhookHosts, webhookDelivery, authenticate }: WebhookRouteDeps,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(ROUTES.webhooks, { schema: { summary: 'Your webhooks', response: { 200: WebhookList, ...PROBLEMS } } }, async (request) => {
    const { principal } = await authenticate(request);
    return { webhooks: (await webhooks.list(principal)).map(restWebhook) };
  });
  app.post(
    ROUTES.webhooks,
    { schema: { summary: 'Send what happens to an address', body: WebhookBody, response: { 200: MadeWebhook, ...PROBLEMS } } },
    async (request) => {
      const { principal } = await authenticate(request);
      const { href: url } = webhookHosts.admit(request.body.url);
      const secret = randomBytes(SECRET_BYTES).toString('base64url');
      const added = await webhooks.add(principal, { url, kinds: request.body.kinds ?? null, secret });
      webhookDelivery.refresh();
      return { ...restWebhook(added), secret };
    },
  );
  app.delete(
    `${ROUTES.webhooks}/:id`,
    { schema: { summary: 'Send nothing more to an address', params: WebhookId, response: { 204: NOTHING, ...PROBLEMS } } },
    async (request, reply) => {
      await webhooks.remove((await authenticate(request)).principal, request.params.id);
      webhookDelivery.refresh();
      return reply.code(204).send(null);
    },
  );
}

function restWebhook({
  id,
  url,
  kinds,
  state,
  createdAtMs,
  failures,
  failingSinceMs,
  reason,
  dueAtMs,
}: Webhook): z.input<typeof RestWebhook> {
  return {
    id,
    url,
    kinds: kinds === null ? null : [...kinds],
    state,
    createdAt: isoFromMilliseconds(createdAtMs),
    failures,
    failingSince: isoOrNull(failingSinceMs),
    reason,
    nextAt: failures > 0 && state === 'active' ? isoFromMilliseconds(dueAtMs) : null,
  };
}
