import { AppError } from './errors.ts';
import { LIMITS } from './limits.ts';

const encoder = new TextEncoder();
// C0, DEL, C1, and the slash that separates components
// biome-ignore lint/suspicious/noControlCharactersInRegex: names must not hold control characters
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f/]/;
const ASCII = /^[\u0020-\u007e]*$/;

/** Why `name` cannot be one path component, or `null` when it can. */
export function nameProblem(name: string): string | null {
  if (name === '') return 'a name cannot be empty';
  if (name === '.' || name === '..') return `"${name}" is not a name`;
  if (FORBIDDEN.test(name)) return 'a name cannot hold a slash or a control character';
  if (ASCII.test(name)) return name.length > LIMITS.nameBytesMax ? `a name has at most ${LIMITS.nameBytesMax} bytes` : null;
  if (!name.isWellFormed()) return 'a name must be well-formed Unicode';
  if (encoder.encode(name).length > LIMITS.nameBytesMax) return `a name has at most ${LIMITS.nameBytesMax} bytes`;
  return null;
}

/** @throws AppError `name_invalid` */
export function checkName(name: string): string {
  const problem = nameProblem(name);
  if (problem !== null) throw new AppError('name_invalid', problem);
  return name;
}

/**
 * The key under which siblings must be unique: two names with the same key would be one file on a
 * case-insensitive or normalising file system. NFKD, lower, upper, NFKD again.
 */
export function foldName(name: string): string {
  if (ASCII.test(name)) return name.toUpperCase();
  return name.normalize('NFKD').toLowerCase().toUpperCase().normalize('NFKD');
}

/**
 * A remote path: begins with `/`, components divided by single slashes; a trailing slash is dropped. `/` is the root.
 * @returns the components, the root being `[]`
 * @throws AppError `path_invalid` (does not begin with a slash, too long, too deep), `name_invalid` (a component)
 */
export function splitPath(path: string): string[] {
  if (!path.startsWith('/')) throw new AppError('path_invalid', 'a remote path begins with "/"');
  if (path.length > LIMITS.pathBytesMax || (!ASCII.test(path) && encoder.encode(path).length > LIMITS.pathBytesMax)) {
    throw new AppError('path_invalid', `a path has at most ${LIMITS.pathBytesMax} bytes`);
  }
  if (path === '/') return [];
  const parts = (path.endsWith('/') ? path.slice(1, -1) : path.slice(1)).split('/');
  if (parts.length > LIMITS.pathDepthMax) throw new AppError('path_invalid', `a path has at most ${LIMITS.pathDepthMax} components`);
  for (const part of parts) checkName(part);
  return parts;
}

export function joinPath(parts: readonly string[]): string {
  return `/${parts.join('/')}`;
}

/** A path that begins at a node, wherever that node is now: `@ID` is the node itself, `@ID/name/name` what is below it. */
export type AnchoredPath = { readonly id: number; readonly below: readonly string[] };

export function writeAnchored(id: number, ...below: readonly string[]): string {
  return below.length === 0 ? `@${id}` : `@${id}/${below.join('/')}`;
}

/**
 * @returns `null` for a path that does not begin with `@`
 * @throws AppError `path_invalid` (no decimal number below 2^53, too long, too deep), `name_invalid` (a component)
 */
export function readAnchored(path: string): AnchoredPath | null {
  if (!path.startsWith('@')) return null;
  const slash = path.indexOf('/');
  const digits = slash === -1 ? path.slice(1) : path.slice(1, slash);
  const id = Number(digits);
  if (!/^[1-9][0-9]{0,15}$/.test(digits) || !Number.isSafeInteger(id)) {
    throw new AppError('path_invalid', 'an anchored path begins with "@" and the number of a node');
  }
  return { id, below: slash === -1 ? [] : splitPath(path.slice(slash)) };
}

/** The folder that holds `path`, and the last component. @throws AppError as `splitPath`, `path_invalid` for the root */
export function splitLast(path: string): { parent: string; name: string } {
  const parts = splitPath(path);
  const name = parts.pop();
  if (name === undefined) throw new AppError('path_invalid', 'the root folder cannot be the target of this');
  return { parent: joinPath(parts), name };
}

/** A child's path. @param parent a valid path, `/` included */
export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}
