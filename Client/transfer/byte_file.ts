import { closeSync, fstatSync, ftruncateSync, read, readSync, type Stats, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import type { DiskFile } from '../sync/disk/disk.ts';
import { openForRead } from './local_files.ts';

const readAsync = promisify(read);

/** What content is read from. */
export type ByteSource = Pick<DiskFile, 'read' | 'readAhead'>;
/** What content is written into, at any place, and read again to see what is there already. */
export type ByteSink = Pick<DiskFile, 'read' | 'write' | 'truncate'>;

/** Fills `target` from `position`. @returns bytes read; fewer only at the end of the file */
export function fillFrom(source: Pick<ByteSource, 'read'>, target: Uint8Array, position: number): number {
  let done = 0;
  while (done < target.length) {
    const count = source.read(done === 0 ? target : target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** An open file of a transfer; the methods throw the system's errors. */
export class OpenFile implements ByteSource, ByteSink {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws AppError `local_io` */
  static forReading(path: string): OpenFile {
    return new OpenFile(openForRead(path));
  }

  stats(): Stats {
    return fstatSync(this.fd);
  }

  read(target: Uint8Array, position: number): number {
    return readSync(this.fd, target, 0, target.length, position);
  }

  async readAhead(target: Uint8Array, position: number): Promise<number> {
    const { bytesRead } = await readAsync(this.fd, target, 0, target.length, position);
    return bytesRead;
  }

  write(bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done, bytes.length - done, position + done);
  }

  truncate(size: number): void {
    ftruncateSync(this.fd, size);
  }

  close(): void {
    closeSync(this.fd);
  }
}
