import { LIMITS } from '../../../Models/limits.ts';
import { type NodeId, ROOT, type TreeNode } from './tree.ts';

const DEVICE_LENGTH_MAX = 40; // characters of it in a copy's name
const EXTENSION_LENGTH_MAX = 16; // characters, with the dot; what is longer is no extension
const DIGITS = 6;
const COPY = / \(conflict from [^()]* [0-9a-f]{6}(?: \d+)?\)$/;
const PARKED = /^(.*) \(moving ([0-9a-f]{6})\)$/su;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a name must not hold control characters
const NOT_IN_A_NAME = /[\u0000-\u001f\u007f-\u009f/()]/g;

/**
 * What the local version is called when the remote one keeps the name: `NAME (conflict from DEVICE xxxxxx).ext`. The same version gets the same
 * name whenever it is made, and a copy of a copy does not grow.
 * @param taken whether a name is in use there; then a number follows the digits
 */
export function conflictName(node: TreeNode, device: string, taken: (name: string) => boolean): string {
  const { stem, extension } = node.kind === 'folder' ? { stem: node.name, extension: '' } : splitExtension(node.name);
  const origin = device.toWellFormed().replace(NOT_IN_A_NAME, '_').slice(0, DEVICE_LENGTH_MAX).toWellFormed();
  for (let n = 1; ; n += 1) {
    const suffix = ` (conflict from ${origin} ${versionDigits(node)}${n === 1 ? '' : ` ${n}`})${extension}`;
    const name = fitting(stem.replace(COPY, ''), suffix);
    if (!taken(name)) return name;
  }
}

/** The same for a file of which only some digits of its content are known. */
export function copyNameOf(name: string, device: string, digits: string): string {
  const node: TreeNode = { id: 0, parent: ROOT, name, kind: 'file', content: digits.padEnd(64, '0'), mode: 0o644, mtimeUs: 0 };
  return conflictName(node, device, () => false);
}

/**
 * Where something waits for its place when the way there is a circle. The digits tell whose name it is, so that it is found again when everything stops
 * in between: see `unparkedName`.
 */
export function parkedName(node: TreeNode, taken: (name: string) => boolean): string | null {
  for (let salt = 0; salt < PARKED_SALTS; salt += 1) {
    const name = fitting(node.name, ` (moving ${parkedDigits(node.id, salt)})`);
    if (!taken(name)) return name;
  }
  return null;
}

/** The name that a parked node had before; every other name as it is. */
export function unparkedName(id: NodeId, name: string): string {
  if (!name.endsWith(')')) return name;
  const match = PARKED.exec(name);
  if (match?.[1] === undefined || match[1] === '') return name;
  for (let salt = 0; salt < PARKED_SALTS; salt += 1) if (match[2] === parkedDigits(id, salt)) return match[1];
  return name;
}

const PARKED_SALTS = 4;

/** Different for any two of the first 16 million ids: multiplying by an odd number loses nothing. */
function parkedDigits(id: NodeId, salt: number): string {
  return hex24(Math.imul(id - ROOT, 0x5bd1e9) + salt * 0x3c6ef3);
}

/** Of a file its content id's first digits; a symlink has its target, a folder its name instead of one. */
function versionDigits(node: TreeNode): string {
  if (node.kind === 'file' && node.content !== null && /^[0-9a-f]{6}/.test(node.content)) return node.content.slice(0, DIGITS);
  let mixed = 0x811c9d;
  for (const unit of `${node.kind} ${node.kind === 'folder' ? node.name : node.content}`)
    mixed = Math.imul(mixed ^ (unit.codePointAt(0) ?? 0), 0x01000193);
  return hex24(mixed ^ (mixed >>> 15));
}

function hex24(value: number): string {
  return ((value >>> 0) % 2 ** 24).toString(16).padStart(DIGITS, '0');
}

function splitExtension(name: string): { stem: string; extension: string } {
  const dot = name.lastIndexOf('.');
  if (dot <= 0 || name.length - dot > EXTENSION_LENGTH_MAX) return { stem: name, extension: '' };
  return { stem: name.slice(0, dot), extension: name.slice(dot) };
}

/** The stem is shortened where the whole would be too long for a name. */
function fitting(stem: string, suffix: string): string {
  const encoder = new TextEncoder();
  const room = LIMITS.nameBytesMax - encoder.encode(suffix).length;
  if (encoder.encode(stem).length <= room) return stem + suffix;
  const characters = [...stem];
  while (encoder.encode(characters.join('')).length > room) characters.pop();
  return characters.join('') + suffix;
}
