import { AppError } from '../../Models/errors.ts';
import { WEBHOOK_KINDS, type WebhookKind } from '../../Models/webhooks.ts';
import type { RestWebhook } from '../client.ts';
import { type Command, type Options, textOption } from './command.ts';
import { countOf, formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';

/** @throws AppError `request_invalid` */
function kindsOf(options: Options): { readonly kinds?: readonly WebhookKind[] } {
  const text = textOption(options, 'kinds');
  if (text === undefined) return {};
  const words = text.split(',').map((word) => word.trim());
  const kinds = WEBHOOK_KINDS.filter((kind) => words.includes(kind));
  if (!words.every((word) => kinds.some((kind) => kind === word))) {
    throw new AppError('request_invalid', `kinds are some of ${WEBHOOK_KINDS.join(',')}, not "${text}"`);
  }
  return { kinds };
}

function healthOf({ state, failures, reason, nextAt }: RestWebhook): string {
  if (failures === 0) return '';
  const next = nextAt === null ? '' : `, next at ${formatTime(nextAt)}`;
  return `  ${state === 'failed' ? 'given up after ' : ''}${countOf(failures, 'failure')}: ${reason ?? ''}${next}`;
}

function webhookLine(webhook: RestWebhook): string {
  return `${webhook.id}  ${webhook.state.padEnd(6)}  ${webhook.url}  ${webhook.kinds?.join(',') ?? 'everything'}${healthOf(webhook)}`;
}

export const WEBHOOK_COMMANDS: readonly Command[] = [
  {
    name: 'webhooks',
    args: '[word] [value]',
    usage: '[list] | add URL [--kinds KINDS] | remove ID',
    summary: 'have what happens sent to an address, and manage that',
    options: [{ flags: '--kinds <kinds>', text: `with add: only these, some of ${WEBHOOK_KINDS.join(',')}` }],
    about:
      'What "changes" shows is sent as JSON, signed, in order and each at least once; what the receiver does not take is sent again, for three days. ' +
      'The secret that checks the signature is printed once, by add. Only to addresses that the administrator allows.',
    examples: [
      'webhooks add https://hooks.example.org/driftless --kinds changed,invited',
      'webhooks list',
      'webhooks remove 0123456789abcdef0123456789abcdef',
    ],
    async run(run, [word = 'list', value], options) {
      if ((word !== 'list') === (value === undefined) || !['list', 'add', 'remove'].includes(word)) {
        throw new AppError('request_invalid', 'it is "webhooks list", "webhooks add URL" or "webhooks remove ID"');
      }
      if (value === undefined) return { kind: 'rows', rows: rowsOf(await (await run.client()).webhooks(), webhookLine) };
      if (word === 'remove') {
        await (await run.client()).removeWebhook(value);
        return facts({ id: value }, 'removed');
      }
      const kinds = kindsOf(options);
      const { secret, ...webhook } = await (await run.client()).addWebhook(value, kinds);
      return facts({ ...webhook, secret }, webhookLine(webhook), `secret ${secret}`);
    },
  },
];
