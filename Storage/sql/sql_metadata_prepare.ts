import { createHash } from 'node:crypto';
import { contentId, EMPTY_DIGEST_HEX } from '../../Models/content_id.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { type Base, type ChunkRef, MODE, type Operation } from '../../Models/operations.ts';
import { asBuffer } from './sql_metadata_chunks.ts';
import { KIND } from './sql_metadata_schema.ts';
import type { Place } from './sql_metadata_tree.ts';

/** What a put or symlink writes, checked as far as that is possible without looking at the database. */
export type Content = {
  readonly kind: number;
  readonly size: number;
  readonly mtimeUs: number;
  readonly digest: Buffer;
  readonly mode: number; // permission bits
  readonly target: string | null;
  readonly chunks: readonly ChunkRef[];
};

/** An operation with its paths understood. `put` stands for symlinks too. */
export type Prepared =
  | { readonly kind: 'put'; readonly place: Place; readonly base: Base; readonly content: Content }
  | {
      readonly kind: 'mkdir';
      readonly place: Place;
      readonly existingOk: boolean;
      readonly mode: number | null;
      readonly mtimeUs: number | null;
    }
  | { readonly kind: 'delete'; readonly place: Place; readonly base: Base; readonly onlyEmpty: boolean }
  | { readonly kind: 'move'; readonly from: Place; readonly to: Place; readonly base: Base }
  | { readonly kind: 'copy'; readonly from: Place; readonly to: Place };

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const EMPTY = Buffer.from(EMPTY_DIGEST_HEX, 'hex');

function checkNumbers(size: number, mtimeUs: number, base: Base): void {
  const whole = Number.isSafeInteger(size) && size >= 0 && Number.isSafeInteger(mtimeUs);
  const based = base === 'absent' || base === 'any' || (Number.isSafeInteger(base) && base >= 0);
  if (!whole || !based) throw new AppError('request_invalid', 'size, mtime or base is not a whole number');
}

function checkMode(mode: number): void {
  if (!Number.isInteger(mode) || mode < 0 || mode > MODE.max) throw new AppError('request_invalid', 'a mode is nine permission bits');
}

function putContent(op: Operation & { kind: 'put' }): Content {
  checkMode(op.mode);
  checkNumbers(op.size, op.mtimeUs, op.base);
  if (op.size > LIMITS.fileBytesMax || op.chunks.length > LIMITS.fileChunksMax) throw new AppError('too_large', 'the file is too large');
  let sum = 0;
  for (const { digest, length } of op.chunks) {
    if (digest.length !== 32) throw new AppError('request_invalid', 'a chunk digest has 32 bytes');
    if (length > LIMITS.chunkBytesMax) throw new AppError('too_large', `a chunk has at most ${LIMITS.chunkBytesMax} bytes`);
    if (!Number.isInteger(length) || length <= 0) throw new AppError('length_mismatch', 'a chunk cannot be empty');
    sum += length;
  }
  if (sum !== op.size) throw new AppError('length_mismatch', `the chunks hold ${sum} bytes, the file ${op.size}`);
  const digest = asBuffer(op.digest);
  const id = op.chunks.length === 0 ? EMPTY : contentId(op.chunks as { digest: Uint8Array; length: number }[], sha256);
  if (!digest.equals(id)) throw new AppError('digest_mismatch', 'the digest is not that of the chunks');
  const { size, mtimeUs, chunks } = op;
  return { kind: KIND.file, size, mtimeUs, digest, mode: op.mode, target: null, chunks };
}

/** A symlink's content is the text of its target. */
function symlinkContent(op: Operation & { kind: 'symlink' }): Content {
  const bytes = Buffer.from(op.target);
  checkNumbers(bytes.length, op.mtimeUs, op.base);
  if (bytes.length > LIMITS.symlinkTargetBytesMax) throw new AppError('too_large', 'the target of a symlink is too long');
  if (op.target === '' || op.target.includes('\0') || !op.target.isWellFormed()) {
    throw new AppError('request_invalid', 'the target of a symlink must be text without NUL');
  }
  return {
    kind: KIND.symlink,
    size: bytes.length,
    mtimeUs: op.mtimeUs,
    digest: sha256(bytes),
    mode: MODE.symlink,
    target: op.target,
    chunks: [],
  };
}

/** @throws AppError the reason why the operation is refused whatever is stored */
export function prepare(op: Operation, placeOf: (path: string) => Place): Prepared {
  switch (op.kind) {
    case 'put':
      return { kind: 'put', place: placeOf(op.path), base: op.base, content: putContent(op) };
    case 'symlink':
      return { kind: 'put', place: placeOf(op.path), base: op.base, content: symlinkContent(op) };
    case 'mkdir':
      checkMode(op.mode ?? MODE.folder);
      checkNumbers(0, op.mtimeUs ?? 0, 'any');
      return { kind: 'mkdir', place: placeOf(op.path), existingOk: op.existingOk, mode: op.mode, mtimeUs: op.mtimeUs };
    case 'delete':
      checkNumbers(0, 0, op.base);
      return { kind: 'delete', place: placeOf(op.path), base: op.base, onlyEmpty: op.onlyEmpty };
    case 'move':
      checkNumbers(0, 0, op.base);
      return { kind: 'move', from: placeOf(op.from), to: placeOf(op.to), base: op.base };
    case 'copy':
      return { kind: 'copy', from: placeOf(op.from), to: placeOf(op.to) };
  }
}
