import type { RestWebhook } from '../Models/rest_webhooks.ts';
import { ROUTES } from '../Models/routes.ts';
import type { WebhookKind } from '../Models/webhooks.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

/** `secret` is the key of the signatures; it is told once. */
export type NewWebhook = RestWebhook & { readonly secret: string };

/** Addresses to which the server sends what happens. Errors as of `Driftless`; what else, each says. */
export type WebhookMethods = {
  /**
   * From now on what this user's change feed tells is sent there as signed JSON, in order, each at least once.
   * @param kinds everything if not given
   * @throws AppError `forbidden` (no address that the administrator allows), `request_invalid`, `too_large` (too many webhooks)
   */
  addWebhook(url: string, options?: { readonly kinds?: readonly WebhookKind[] }): Promise<NewWebhook>;
  /** The user's own, the oldest first. */
  webhooks(): Promise<RestWebhook[]>;
  /** Nothing more is sent, but for a request under way. @throws AppError `not_found` */
  removeWebhook(id: string): Promise<void>;
};

export function webhookMethods(http: Http): WebhookMethods {
  const call = restCaller(http, () => import('../Models/rest_webhooks.ts'));
  return {
    addWebhook: (url, { kinds } = {}) =>
      call(({ MadeWebhook }) => ({ schema: MadeWebhook, method: 'POST', route: ROUTES.webhooks, body: { url, kinds } })),
    webhooks: async () => (await call(({ WebhookList }) => ({ schema: WebhookList, method: 'GET', route: ROUTES.webhooks }))).webhooks,
    removeWebhook: (id) => call<void>(() => ({ schema: null, method: 'DELETE', route: `${ROUTES.webhooks}/${encodeURIComponent(id)}` })),
  };
}
