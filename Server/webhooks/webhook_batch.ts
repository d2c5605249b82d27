import { LIMITS } from '../../Models/limits.ts';
import type { WebhookKind } from '../../Models/webhooks.ts';
import type { Following } from '../../Storage/following.ts';
import type { Change } from '../../Storage/metadata.ts';
import type { Webhook } from '../../Storage/webhooks.ts';
import { eventShape } from '../rest_shapes.ts';

/** What comes next. `cursor`: where the webhook stands once it was taken. `body`: `null` if nothing of it is of a kind that is wanted. */
export type Batch = { readonly cursor: string; readonly body: string | null };

/** Read anew for each attempt, so that what the user may not read any more is not told. @throws AppError as `Following.follow` */
export async function nextBatch(following: Pick<Following, 'follow'>, webhook: Webhook): Promise<Batch> {
  const { id, userId, userName, kinds } = webhook;
  const follower = await following.follow({ userId, userName, deviceId: '' }, webhook.cursor);
  const { changes } = await follower.read(LIMITS.webhookBatchChanges);
  const events: string[] = [];
  let bytes = 0;
  let cursor = follower.cursor;
  for (const [at, change] of changes.entries()) {
    if (!wants(kinds, change)) continue;
    const text = JSON.stringify(eventShape(change));
    bytes += Buffer.byteLength(text);
    if (events.length > 0 && bytes > LIMITS.webhookBatchBytes) {
      cursor = changes[at - 1]?.cursor ?? cursor;
      break;
    }
    events.push(text);
  }
  const head = JSON.stringify({ webhook: id, cursor }).slice(0, -1);
  return { cursor, body: events.length === 0 ? null : `${head},"events":[${events.join(',')}]}` };
}

function wants(kinds: readonly WebhookKind[] | null, { kind, details }: Change): boolean {
  return kinds === null || kinds.some((wanted) => wanted === (details === undefined ? 'changed' : kind));
}
