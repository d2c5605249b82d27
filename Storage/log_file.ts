import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pino, { type DestinationStream } from 'pino';
import { LIMITS } from '../Models/limits.ts';

export type LogFileOptions = {
  /** Made if it is not there. */
  readonly folder: string;
  /** The lines go to `NAME.log`; those before are in `NAME.1.log`. */
  readonly name: string;
  /** Called once, when a line or a new file cannot be written; no writer is told. */
  readonly onFailure: (error: Error) => void;
  readonly bytesMax?: number;
};

/**
 * Where a process that runs for years writes lines: a file that goes on in a new one before it is too long, so that no disk fills with them.
 * Each line is with the system when `write` returns.
 * @throws as the file system does, when it cannot be opened
 */
export function openLogFile({ folder, name, onFailure, bytesMax = LIMITS.logBytesMax }: LogFileOptions): DestinationStream {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${name}.log`);
  let isTold = false;
  function failed(error: unknown): void {
    if (isTold) return;
    isTold = true;
    onFailure(error instanceof Error ? error : new Error(String(error)));
  }
  const open = () => pino.destination({ dest: path, sync: true, append: true, mode: 0o600 }).on('error', failed);
  let file = open();
  let bytes = statSync(path).size;

  /** If that fails the file gets longer than it should, rather than a line lost. */
  function beginAnother(): void {
    try {
      renameSync(path, join(folder, `${name}.1.log`));
      const full = file;
      file = open();
      full.end();
    } catch (error) {
      failed(error);
    }
    bytes = 0;
  }

  return {
    write(line) {
      const length = Buffer.byteLength(line);
      if (bytes + length > bytesMax) beginAnother();
      bytes += length;
      file.write(line);
    },
  };
}
