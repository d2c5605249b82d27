import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Following } from '../../Storage/following.ts';
import type { Outcome, Webhook, Webhooks } from '../../Storage/webhooks.ts';
import type { ChangeFanOut } from '../events/events_fan_out.ts';
import { type Batch, nextBatch } from './webhook_batch.ts';
import { WebhookQueue } from './webhook_queue.ts';
import type { WebhookSender } from './webhook_sender.ts';

export type DeliveryTimes = {
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly giveUpMs: number;
  readonly gapMs: number;
  readonly lookMs: number;
  /** Longer than a request can take: behind it another server may send the same. */
  readonly claimMs: number;
};
export const DELIVERY_TIMES: DeliveryTimes = {
  retryMs: LIMITS.webhookRetryMs,
  retryMsMax: LIMITS.webhookRetryMsMax,
  giveUpMs: LIMITS.webhookGiveUpMs,
  gapMs: LIMITS.webhookGapMs,
  lookMs: LIMITS.webhookLookMs,
  claimMs: LIMITS.webhookTimeoutMs + 5000,
};

export type DeliveryDeps = {
  readonly webhooks: Webhooks;
  readonly following: Pick<Following, 'follow'>;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly changes: Pick<ChangeFanOut, 'subscribe'>;
  readonly sender: WebhookSender;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly onEnded: (id: string, reason: string) => void;
  readonly onFailure: (error: unknown) => void;
};

type Hook = { readonly id: string; readonly userId: string; readonly unsubscribe: () => void; timer: NodeJS.Timeout | undefined };

/**
 * Sends each webhook what its user's change feed tells, from where it is: one request after the other, each made of what the user may read at that moment.
 * Nothing is queued here: where a webhook stands and when it is due is in the database.
 */
export class WebhookDelivery {
  readonly #deps: DeliveryDeps;
  readonly #times: DeliveryTimes;
  readonly #hooks = new Map<string, Hook>();
  readonly #queue: WebhookQueue<Hook>;
  readonly #looking: NodeJS.Timeout;
  #refreshing: Promise<void> | null = null;
  #refreshAgain = false;
  #closed = false;

  constructor(deps: DeliveryDeps, times: DeliveryTimes = DELIVERY_TIMES) {
    this.#deps = deps;
    this.#times = times;
    this.#queue = new WebhookQueue((hook) => this.#attend(hook));
    this.#looking = setInterval(() => this.refresh(), times.lookMs).unref();
  }

  /** Looks which webhooks there are, and what there is for them. Returns at once. */
  refresh(): void {
    if (this.#closed) return;
    this.#refreshAgain = true;
    this.#refreshing ??= this.#refreshAll()
      .catch(this.#deps.onFailure)
      .finally(() => {
        this.#refreshing = null;
      });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    await this.#refreshing;
    for (const hook of this.#hooks.values()) this.#forget(hook);
    await this.#deps.sender.close();
    await this.#queue.close();
  }

  async #refreshAll(): Promise<void> {
    while (this.#refreshAgain) {
      this.#refreshAgain = false;
      const active = await this.#deps.webhooks.active();
      if (this.#closed) return;
      const ids = new Set(active.map(({ id }) => id));
      for (const hook of this.#hooks.values()) if (!ids.has(hook.id)) this.#forget(hook);
      for (const { id, userId } of active) this.#wake(this.#hooks.get(id) ?? this.#begin(id, userId));
    }
  }

  #begin(id: string, userId: string): Hook {
    const hook: Hook = { id, userId, unsubscribe: this.#deps.changes.subscribe(userId, () => this.#wake(hook)), timer: undefined };
    this.#hooks.set(id, hook);
    return hook;
  }

  #forget(hook: Hook): void {
    hook.unsubscribe();
    clearTimeout(hook.timer);
    this.#hooks.delete(hook.id);
  }

  /** One that waits for its time sees then what is new. */
  #wake(hook: Hook): void {
    if (hook.timer === undefined && !this.#closed) this.#queue.add(hook);
  }

  #wakeIn(hook: Hook, ms: number): void {
    if (this.#closed || this.#hooks.get(hook.id) !== hook) return;
    clearTimeout(hook.timer);
    hook.timer = setTimeout(() => {
      hook.timer = undefined;
      this.#wake(hook);
    }, ms).unref();
  }

  async #attend(hook: Hook): Promise<void> {
    try {
      const waitMs = await this.#step(hook);
      if (waitMs !== null) this.#wakeIn(hook, waitMs);
    } catch (error) {
      this.#deps.onFailure(error);
      this.#wakeIn(hook, this.#times.lookMs);
    }
  }

  /** @returns when to look again; `null`: when there is news */
  async #step(hook: Hook): Promise<number | null> {
    const { webhooks, now } = this.#deps;
    const webhook = this.#closed ? null : await webhooks.find(hook.id);
    if (webhook === null || webhook.state !== 'active') {
      this.#forget(hook);
      return null;
    }
    const earlyMs = webhook.dueAtMs - now();
    if (earlyMs > 0) return Math.min(earlyMs, this.#times.retryMsMax);
    const batch = await this.#batchFor(webhook);
    if (batch !== null && batch.cursor === webhook.cursor) return null;
    const untilMs = now() + this.#times.claimMs;
    if (!(await webhooks.claim(webhook, untilMs))) return this.#times.gapMs;
    const outcome = await this.#send(webhook, batch);
    await webhooks.settle({ id: webhook.id, untilMs }, outcome);
    switch (outcome.kind) {
      case 'taken':
        return this.#times.gapMs;
      case 'failed':
        return Math.max(0, outcome.dueAtMs - now());
      case 'ended':
        this.#deps.onEnded(webhook.id, outcome.reason);
        this.#forget(hook);
        return null;
      case 'left':
        return null;
    }
  }

  /** @returns null where the cursor is of another history: the database is not what it was */
  async #batchFor(webhook: Webhook): Promise<Batch | null> {
    try {
      return await nextBatch(this.#deps.following, webhook);
    } catch (error) {
      if (error instanceof AppError && error.code === 'cursor_invalid') return null;
      throw error;
    }
  }

  async #send(webhook: Webhook, batch: Batch | null): Promise<Outcome> {
    if (batch === null) return { kind: 'ended', reason: 'the server was restored' };
    if (batch.body === null) return { kind: 'taken', cursor: batch.cursor };
    const user = await this.#deps.accounts.findUser(webhook.userName);
    if (user?.id !== webhook.userId) return this.#failed(webhook, 'the account is disabled');
    const sent = await this.#deps.sender.send(webhook, batch.body);
    switch (sent.kind) {
      case 'taken':
        return { kind: 'taken', cursor: batch.cursor };
      case 'gone':
        return { kind: 'ended', reason: 'answered 410: gone' };
      case 'failed':
        return this.#closed ? { kind: 'left' } : this.#failed(webhook, sent.reason);
    }
  }

  #failed({ failures, failingSinceMs }: Webhook, reason: string): Outcome {
    const nowMs = this.#deps.now();
    const { retryMs, retryMsMax, giveUpMs } = this.#times;
    if (failingSinceMs !== null && nowMs - failingSinceMs >= giveUpMs) return { kind: 'ended', reason };
    const waitMs = Math.min(retryMsMax, retryMs * 2 ** Math.min(failures, 30));
    return { kind: 'failed', dueAtMs: nowMs + Math.ceil(waitMs * (0.5 + this.#deps.random() / 2)), reason };
  }
}
