import { createHmac } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { LIMITS } from '../../Models/limits.ts';
import { checkedLookup, type Resolve, type WebhookHosts } from '../webhook_addresses.ts';

export type Sent = { readonly kind: 'taken' } | { readonly kind: 'gone' } | { readonly kind: 'failed'; readonly reason: string };

/** Sends one body. Closing ends what is under way. */
export type WebhookSender = {
  /** Never throws: `reason` is for the user, and says nothing of what was answered but the status. */
  send(to: { readonly url: string; readonly secret: string }, body: string): Promise<Sent>;
  close(): Promise<void>;
};

export type SenderDeps = {
  readonly hosts: WebhookHosts;
  readonly resolve: Resolve;
  readonly timeoutMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** What sends is loaded if there is somewhere to send to: it is an eighth of the server's start. Not later: what fails to load once may fail for good. */
export async function openWebhookSender({ hosts, resolve, timeoutMs, now }: SenderDeps): Promise<WebhookSender> {
  if (hosts.isNowhere) return sendsNothing;
  const { Agent } = await import('undici');
  const closed = new AbortController();
  // each request has a connection of its own, so the address is looked up and checked for each
  const agent = new Agent({ pipelining: 0, connect: { lookup: checkedLookup(resolve), timeout: timeoutMs } });
  return {
    async send({ url: text, secret }, body) {
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(timeoutMs)]);
      try {
        const { origin, pathname, search } = hosts.admit(text); // again: what is allowed may have changed since it was added
        const headers = {
          'content-type': 'application/json',
          'user-agent': 'driftless-webhook',
          'driftless-signature': signature(secret, Math.floor(now() / 1000), body),
        };
        const answer = await agent.request({ origin, path: pathname + search, method: 'POST', headers, body, signal });
        await readAway(answer, signal);
        return outcomeOf(answer.statusCode);
      } catch (error) {
        return { kind: 'failed', reason: reasonOf(error) };
      }
    },
    async close() {
      closed.abort();
      await agent.destroy();
    },
  };
}

/** @returns what a receiver compares: HMAC-SHA256 with the text of the secret as the key */
export function signature(secret: string, seconds: number, body: string): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
}

/** The status has said everything; what else is answered may be short, or is cut off. */
async function readAway({ body }: Dispatcher.ResponseData, signal: AbortSignal): Promise<void> {
  await body.dump({ limit: LIMITS.webhookAnswerBytesMax, signal }).catch(() => undefined);
}

/** A redirect is not followed: it is an answer like any other that does not say yes. */
function outcomeOf(status: number): Sent {
  if (status >= 200 && status < 300) return { kind: 'taken' };
  return status === 410 ? { kind: 'gone' } : { kind: 'failed', reason: `answered ${status}` };
}

const REASONS: Readonly<Record<string, string>> = {
  TimeoutError: 'no answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'no answer in time',
  forbidden: 'the address is not allowed',
  not_found: 'the name leads nowhere',
  ENOTFOUND: 'the name leads nowhere',
  EAI_AGAIN: 'the name cannot be looked up now',
};

const sendsNothing: WebhookSender = {
  send: async () => ({ kind: 'failed', reason: reasonOf({ code: 'forbidden' }) }),
  close: async () => undefined,
};

function reasonOf(error: unknown): string {
  const { name, code } = error as { name?: string; code?: unknown };
  return REASONS[String(code)] ?? REASONS[String(name)] ?? `no connection${typeof code === 'string' ? ` (${code})` : ''}`;
}
