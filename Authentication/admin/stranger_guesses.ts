import { foldName } from '../../Models/names.ts';
import { createGuessLimit, GUESS_LIMITS } from '../guess_limit.ts';
import { readSecretContent } from '../secrets.ts';
import type { Admin } from './admin.ts';

/** What strangers guessed at a name before it had the password that it is given: whoever is known by no device would be locked out by it. */
export async function openStrangerGuesses(admin: Admin): Promise<{ forget(name: string): Promise<void> }> {
  const { master } = await readSecretContent(admin.settings.data);
  const { guesses } = await admin.accounts();
  const limit = createGuessLimit({ guesses, master, limits: GUESS_LIMITS, now: admin.now });
  return { forget: (name) => limit.forget(foldName(name)) };
}
