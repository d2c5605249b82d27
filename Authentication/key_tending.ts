import type { Audit } from '../Storage/audit.ts';
import type { AuthLog } from './auth_log.ts';
import type { Secrets } from './secrets.ts';

/** A change by the administrator's program is taken over within so long. */
export const KEYS_TENDED_MS = 500;

export function tendKeys({ secrets, log, audit }: { secrets: Secrets; log: AuthLog; audit: Pick<Audit, 'record'> }): Disposable {
  let isFailing = false;
  let isTending = false;
  const tend = async (): Promise<void> => {
    if (isTending) return;
    isTending = true;
    try {
      const made = await secrets.tend();
      isFailing = false;
      if (made !== null) audit.record({ what: 'keys_rotated', result: 'ok', detail: `by age, key ${made}` });
    } catch (err) {
      if (!isFailing) log.error({ err }, 'the ticket keys stay as they are');
      isFailing = true;
    } finally {
      isTending = false;
    }
  };
  const timer = setInterval(() => void tend(), KEYS_TENDED_MS);
  return {
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
