import { hash } from 'node:crypto';
import type { Audit } from '../Storage/audit.ts';
import type { Source } from './source.ts';

const OPEN_MS = 60_000; // as long as a sealed login opens
const OPEN_MAX = 4096;

/**
 * Who guesses a password sees from the challenge whether it is right, and never says so: such a login is written down as refused once it cannot be
 * finished any more. Kept for that alone; of more than so many at once the oldest is taken for a guess early.
 */
export type UnfinishedLogins = {
  /** A challenge went out. @param state the sealed login in it: unlike the transaction, the client cannot choose it. @param userId `null` for a name that nobody has */
  begun(state: Uint8Array, login: { readonly userId: string | null; readonly source: Source }): void;
  /** What became of it is written down. @param state one that has opened */
  finished(state: Uint8Array): void;
  sweep(): void;
};

export function createUnfinishedLogins(audit: Pick<Audit, 'record'>, now: () => number): UnfinishedLogins {
  const open = new Map<string, { userId: string | null; source: Source; atMs: number }>();
  const keyOf = (state: Uint8Array): string => hash('sha256', state, 'base64');

  function giveUp(key: string): void {
    const login = open.get(key);
    open.delete(key);
    if (login === undefined) return;
    const { userId, source } = login;
    audit.record({ what: 'login', result: 'credentials_wrong', userId, address: source.address, detail: 'the challenge was not answered' });
  }

  return {
    begun(state, { userId, source }) {
      open.set(keyOf(state), { userId, source, atMs: now() });
      if (open.size <= OPEN_MAX) return;
      const [oldest] = open.keys();
      if (oldest !== undefined) giveUp(oldest);
    },
    finished: (state) => void open.delete(keyOf(state)),
    sweep() {
      for (const [key, { atMs }] of open) if (Math.abs(now() - atMs) > OPEN_MS) giveUp(key);
    },
  };
}
