import type { WebhookKind, WebhookState } from '../Models/webhooks.ts';
import type { Principal } from './metadata.ts';

export type Webhook = {
  readonly id: string; // 32 hex digits
  readonly userId: string;
  readonly userName: string;
  readonly url: string;
  readonly kinds: readonly WebhookKind[] | null; // null: everything
  readonly secret: string;
  readonly state: WebhookState;
  /** Up to where everything was taken: a cursor of the user's change feed. */
  readonly cursor: string;
  readonly createdAtMs: number;
  /** Nothing is sent before. */
  readonly dueAtMs: number;
  readonly failures: number; // in a row
  readonly failingSinceMs: number | null;
  readonly reason: string | null;
};

/** What became of an attempt. */
export type Outcome =
  | { readonly kind: 'taken'; readonly cursor: string }
  /** Nobody knows: it is sent again at once. */
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly dueAtMs: number; readonly reason: string }
  /** It failed once too often: the user is told by a notice. */
  | { readonly kind: 'ended'; readonly reason: string };

/**
 * Webhooks and how far each has come. An attempt begins with `claim`, which one of several servers on one database gets, and ends with `settle`; where the
 * server was killed between the two, the claim runs out. Everything is durable when its promise resolves.
 * All methods throw AppError `storage_unavailable`, `storage_full`.
 */
export type Webhooks = {
  /** It is sent what happens from now on. @throws AppError `too_large`: the user has too many */
  add(who: Principal, webhook: Pick<Webhook, 'url' | 'kinds' | 'secret'>): Promise<Webhook>;
  /** The user's own, the oldest first. */
  list(who: Pick<Principal, 'userId'>): Promise<Webhook[]>;
  /** @throws AppError `not_found` */
  remove(who: Principal, id: string): Promise<void>;
  /** Of all users. */
  active(): Promise<Webhook[]>;
  find(id: string): Promise<Webhook | null>;
  /** @returns false if it is not as given any more: another server was faster, or it was removed */
  claim(webhook: Webhook, untilMs: number): Promise<boolean>;
  /** What was claimed until then; nothing happens if the claim was lost or the webhook removed meanwhile. */
  settle(claimed: { readonly id: string; readonly untilMs: number }, outcome: Outcome): Promise<void>;
};
