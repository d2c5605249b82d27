import type { TransferFailure } from './transfer/jobs.ts';

/** A failure in one line that names the file, once. */
export function failureText({ path, message }: TransferFailure): string {
  return message.startsWith(`${path}: `) ? message : `${path}: ${message}`;
}
