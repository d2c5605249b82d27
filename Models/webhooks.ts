import { NOTICE_KINDS } from './notices.ts';

/** What a webhook can be sent: changes of files and folders, and notices by their kind. */
export const WEBHOOK_KINDS = ['changed', ...NOTICE_KINDS] as const;
export type WebhookKind = (typeof WEBHOOK_KINDS)[number];

/** `failed`: nothing was taken for so long, or the receiver is gone. Nothing more is sent. */
export const WEBHOOK_STATES = ['active', 'failed'] as const;
export type WebhookState = (typeof WEBHOOK_STATES)[number];
