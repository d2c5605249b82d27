import type { openSync } from '../Client/sync.ts';

type Session = Parameters<typeof openSync>[0]['session'];

/** A session of which tests make the tickets themselves: nobody logged in, so there is no daemon that could be told of anything. */
export function ticketSession(own: Pick<Session, 'user' | 'deviceId' | 'sessionId' | 'serverUrl'>, ticket: () => Promise<string>): Session {
  return {
    auth: '127.0.0.1:9',
    ...own,
    ticket,
    refresh: ticket,
    idleMs: null,
    heard: () => undefined,
    lastTicket: () => '',
    atPrompt: () => Promise.reject(new Error('there is no prompt')),
    change: async () => undefined,
    changePassword: async () => undefined,
    pins: () => [],
    logout: async () => undefined,
    close: async () => undefined,
  };
}
