import type { OtherProgram } from '../../Client/sync/testing/memory_disk_user.ts';
import type { ContentSpec, UserAction } from './history.ts';

const PLAIN_BYTES = 256;

/** Bytes that name what they are, so that a torn or mixed file is told apart from all others. */
function contentOf(spec: ContentSpec): Buffer {
  if (spec === 'empty') return Buffer.alloc(0);
  if ('shared' in spec) return Buffer.from(`shared ${spec.shared}`);
  return fill(`w${String(spec.id).padStart(6, '0')}:`, spec.size);
}

/** Long content is of many different bytes: where it is cut, and what of it is known already, depends on them. */
function fill(label: string, size: number): Buffer {
  const bytes = Buffer.alloc(Math.max(size, label.length), label);
  let state = Number.parseInt(label.slice(1), 10) | 1;
  for (let at = PLAIN_BYTES; at < bytes.length; at += 1) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + at;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

/** Carries out what a person does, making folders on the way. @returns paths that were touched; none if it was not possible */
export function carryOut(user: OtherProgram, action: UserAction): string[] {
  try {
    return apply(user, action);
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'syscall' in error) return []; // as a person who is told that it does not work
    throw error;
  }
}

function apply(user: OtherProgram, action: UserAction): string[] {
  const path = action.path === '?conflict' ? conflictCopy(user) : action.path;
  if (path === null) return [];
  switch (action.kind) {
    case 'write':
    case 'save':
      makeFoldersTo(user, path);
      user[action.kind](path, contentOf(action.content));
      return [path];
    case 'append':
      user.append(path, contentOf({ id: action.id, size: 8 }));
      return [path];
    case 'insert': {
      const bytes = user.find(path)?.bytes;
      if (bytes === undefined || bytes.length === 0) return [];
      const at = Math.floor(action.at * bytes.length);
      user.write(path, Buffer.concat([bytes.subarray(0, at), contentOf({ id: action.id, size: 8 }), bytes.subarray(at)]));
      return [path];
    }
    case 'quiet': {
      const size = user.find(path)?.bytes.length ?? 0;
      if (size < 8) return [];
      user.editQuietly(path, contentOf({ id: action.id, size }));
      return [path];
    }
    case 'folder':
      makeFoldersTo(user, path);
      user.makeFolder(path);
      return [path];
    case 'remove':
      if (user.find(path) === null) return [];
      user.remove(path);
      return [path];
    case 'move': {
      if (user.find(path) === null || path === action.to) return [];
      makeFoldersTo(user, action.to);
      user.move(path, action.to);
      return [path, action.to];
    }
    case 'link':
      makeFoldersTo(user, action.to);
      user.hardLink(path, action.to);
      return [path, action.to];
    case 'symlink':
      makeFoldersTo(user, path);
      if (user.find(path)?.stat.kind === 'symlink') user.remove(path); // made anew, as package managers do
      user.symlink(action.target, path);
      return [path];
    case 'mode': {
      const folder = user.find(path)?.stat.kind === 'folder';
      user.setMode(path, folder ? action.mode | 0o700 : action.mode | 0o400);
      return [path];
    }
    case 'time':
      user.setTimes(path, action.mtimeMs);
      return [path];
    default:
      throw new Error(`unexpected action: ${JSON.stringify(action satisfies never)}`);
  }
}

function makeFoldersTo(user: OtherProgram, path: string): void {
  const parts = path.split('/');
  for (let depth = 1; depth < parts.length; depth += 1) {
    const folder = parts.slice(0, depth).join('/');
    if (user.find(folder) === null) user.makeFolder(folder);
  }
}

function conflictCopy(user: OtherProgram): string | null {
  return user.walk(['.driftless']).find(({ path }) => path.includes('(conflict from '))?.path ?? null;
}
