import type { AuthLog } from './auth_log.ts';
import type { Secrets } from './secrets.ts';

const PERIOD_MS = 1000;

/** Each second, so that a change by the administrator's program is taken over within two. */
export function tendKeys(secrets: Secrets, log: AuthLog): Disposable {
  let isFailing = false;
  let isTending = false;
  const tend = async (): Promise<void> => {
    if (isTending) return;
    isTending = true;
    try {
      const isChanged = await secrets.tend();
      isFailing = false;
      if (isChanged) log.info({ key: secrets.signingKeyAt(Date.now()).id }, 'ticket keys looked through');
    } catch (err) {
      if (!isFailing) log.error({ err }, 'the ticket keys stay as they are');
      isFailing = true;
    } finally {
      isTending = false;
    }
  };
  const timer = setInterval(() => void tend(), PERIOD_MS);
  return {
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
