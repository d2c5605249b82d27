import type { TransferFailure } from './transfer/jobs.ts';

/** Why something on this machine cannot be read, to be put behind its path. */
export function unreadableText(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file or folder';
  return typeof code === 'string' ? `cannot be read (${code})` : 'cannot be read';
}

/** A failure in one line that names the file, once. */
export function failureText({ path, message }: TransferFailure): string {
  return message.startsWith(`${path}: `) ? message : `${path}: ${message}`;
}
