import type { Audit } from '../Storage/audit.ts';
import type { Source } from './source.ts';

const OPEN_MS = 60_000; // as long as a sealed login opens
const OPEN_MAX = 4096;

/**
 * Who guesses a password sees from the challenge whether it is right, and never says so: such a login is written down as refused once it cannot be
 * finished any more. Kept for that alone; of more than so many at once the oldest is taken for a guess early.
 */
export type UnfinishedLogins = {
  /** A challenge went out. @param userId `null` for a name that nobody has */
  begun(transaction: Uint8Array, login: { readonly userId: string | null; readonly source: Source }): void;
  finished(transaction: Uint8Array): void;
  sweep(): void;
};

export function createUnfinishedLogins(audit: Pick<Audit, 'record'>, now: () => number): UnfinishedLogins {
  const open = new Map<string, { userId: string | null; source: Source; atMs: number }>();
  const keyOf = (transaction: Uint8Array): string => Buffer.from(transaction).toString('base64');

  function giveUp(key: string): void {
    const login = open.get(key);
    open.delete(key);
    if (login === undefined) return;
    const { userId, source } = login;
    audit.record({ what: 'login', result: 'credentials_wrong', userId, address: source.address, detail: 'the challenge was not answered' });
  }

  return {
    begun(transaction, { userId, source }) {
      open.set(keyOf(transaction), { userId, source, atMs: now() });
      if (open.size <= OPEN_MAX) return;
      const [oldest] = open.keys();
      if (oldest !== undefined) giveUp(oldest);
    },
    finished: (transaction) => void open.delete(keyOf(transaction)),
    sweep() {
      for (const [key, { atMs }] of open) if (Math.abs(now() - atMs) > OPEN_MS) giveUp(key);
    },
  };
}
