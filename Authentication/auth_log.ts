import type { Logger } from 'pino';

/** What the daemon's parts may say, and to whom: never a secret, a password or a ticket. */
export type AuthLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
