import { decodeUint32, type Ksf } from '../Models/datagram_fields.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Accounts } from '../Storage/accounts.ts';

/**
 * The stretching that a name which nobody has asks for: one that accounts have, always the same for a name, and each as often as accounts have it. Were it
 * always that of new accounts, whatever else is answered would be somebody's from before it was changed.
 */
export type PlausibleKsf = {
  of(foldedName: string): Ksf;
  /** Counts what accounts have. To be called now and then. */
  refresh(): Promise<void>;
};

/** @param deps.standard while there is no account */
export function createPlausibleKsf(deps: { accounts: Pick<Accounts, 'ksfShares'>; master: Uint8Array; standard: Ksf }): PlausibleKsf {
  const { accounts, standard } = deps;
  const key = p.hkdf({ secret: deps.master, salt: new Uint8Array(0), info: 'driftless plausible stretching 1', bytes: 32 });
  let shares: Awaited<ReturnType<Accounts['ksfShares']>> = [];
  return {
    of(foldedName) {
      const users = shares.reduce((total, share) => total + share.users, 0);
      const drawn = (decodeUint32(p.hmac(key, Buffer.from(foldedName))) / 2 ** 32) * users;
      let below = 0;
      for (const share of shares) {
        below += share.users;
        if (drawn < below) return share.ksf;
      }
      return standard;
    },
    async refresh() {
      shares = await accounts.ksfShares();
    },
  };
}
