import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { DestinationStream } from 'pino';
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
 * Each line is with the system when `write` returns. What a full disk does not take is kept and comes first once it does; when
 * `LIMITS.logBytesUnwritten` are kept, further lines are dropped.
 * @throws as the file system does, when it cannot be opened
 */
export function openLogFile({ folder, name, onFailure, bytesMax = LIMITS.logBytesMax }: LogFileOptions): DestinationStream {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${name}.log`);
  let file = open(path);
  let unwritten: Uint8Array = new Uint8Array();
  let isTold = false;

  /** What fails is tried again with the next line. */
  function attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (isTold) return;
      isTold = true;
      onFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Where that fails what is open goes on: a file longer than it should be, rather than a line lost. */
  function begin(): void {
    let there = statSync(path, { throwIfNoEntry: false });
    if (there !== undefined && there.size + unwritten.length > bytesMax) {
      renameSync(path, join(folder, `${name}.1.log`));
      there = undefined;
    }
    // Or it was taken away, or another process began a new one: what is written to the one before goes soon.
    if (there?.ino === file.ino && there.dev === file.dev) return;
    const before = file;
    file = open(path);
    closeSync(before.fd);
  }

  return {
    write(line) {
      if (unwritten.length < LIMITS.logBytesUnwritten) unwritten = Buffer.concat([unwritten, Buffer.from(line)]);
      attempt(begin);
      attempt(() => {
        while (unwritten.length > 0) unwritten = unwritten.subarray(writeSync(file.fd, unwritten));
      });
    },
  };
}

function open(path: string) {
  const fd = openSync(path, 'a', 0o600);
  const { dev, ino } = fstatSync(fd);
  return { fd, dev, ino };
}
