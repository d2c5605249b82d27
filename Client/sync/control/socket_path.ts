import { createHash } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';

const SOCKET_PATH_BYTES_MAX = 103; // of the address of a unix socket: 104 on macOS, 108 on Linux, with a zero at the end

/**
 * The address of a local socket. Too long a path is shortened on Linux by way of its opened folder; on Windows it is a named pipe.
 * @returns `release`: to be called once the address is not used any more
 */
export function shortSocketPath(path: string): { path: string; release: () => void } {
  const nothing = (): void => undefined;
  if (process.platform === 'win32') {
    const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
    return { path: `\\\\.\\pipe\\driftless-${name}`, release: nothing };
  }
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX || process.platform !== 'linux') return { path, release: nothing };
  let folder: number;
  try {
    folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return { path, release: nothing }; // whoever uses it is told what is wrong with it
  }
  return { path: `/proc/self/fd/${folder}/${basename(path)}`, release: () => closeSync(folder) };
}
