import process from 'node:process';
import { AppError } from '../../Models/errors.ts';
import { visible } from '../../Models/visible.ts';

/**
 * Asks on the terminal, masked.
 * @param whose a user's name, or what else it opens
 * @param repeat ask twice, for a password that is being set
 * @param variable of the environment that could have held it
 * @throws AppError `request_invalid` without a terminal or when the two differ, `cancelled` (Ctrl-C)
 */
export async function askPassword(whose: string, repeat: boolean, variable = 'DRIFTLESS_PASSWORD'): Promise<string> {
  if (!process.stdin.isTTY) throw new AppError('request_invalid', `there is no terminal to ask for the password: set ${variable}`);
  const { password, isCancel } = await import('@clack/prompts');
  const ask = async (message: string): Promise<string> => {
    const answer = await password({ message, mask: '•', output: process.stderr });
    if (isCancel(answer)) throw new AppError('cancelled', 'cancelled');
    return answer ?? '';
  };
  const first = await ask(`Password for ${visible(whose)}`);
  if (repeat && (await ask('The same again')) !== first) throw new AppError('request_invalid', 'the two passwords differ');
  return first;
}

/**
 * Asks whether the key just shown is the right one; no unless it is said.
 * @throws AppError `server_key_unknown` without a terminal
 */
export async function confirmKey(fingerprint: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    const how = `if it is the one that the administrator gave you, say so with --key ${fingerprint}`;
    throw new AppError('server_key_unknown', `nobody has confirmed this key, and there is no terminal to ask: ${how}`);
  }
  const { confirm, isCancel } = await import('@clack/prompts');
  const answer = await confirm({
    message: 'Is this the key that the administrator gave you?',
    initialValue: false,
    output: process.stderr,
  });
  if (isCancel(answer)) throw new AppError('cancelled', 'cancelled');
  return answer;
}
