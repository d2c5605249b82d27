import { DIGEST_BYTES } from './chunk_frames.ts';
import { AppError, assertNever, ERROR_CODES } from './errors.ts';
import { FRAME, FrameWriter, PayloadReader } from './frames.ts';
import { LIMITS } from './limits.ts';
import type { Base, ChunkRef, Operation, OperationResult } from './operations.ts';

/**
 * Operation frame: number (u32, chosen by the client, repeated in the result), kind (u8), then by kind, in the order of the fields:
 *   put      path, size f64, mtime f64, mode u16, base f64, content id (32), run count u32, runs
 *   symlink  path, target, mtime f64, base f64 · mkdir  path, existingOk u8, given u8 (1 mode, 2 mtime), mode u16, mtime f64 (0 where not given)
 *   move  from, to, base f64 · copy  from, to · delete  path, base f64, onlyEmpty u8
 * A base is a version, -1 for "absent" or -2 for "any". A run of chunks is u8 0, digest (32), length u32: one chunk; or
 * u8 1, first u32, count u32: chunks of the version that the put is based on, so that a change to a long file is told in a few bytes.
 * Result frame: number u32, status u8 (0 done, 1 unchanged, 2 refused); node f64, version f64 · or code, message.
 */
const KINDS = ['put', 'symlink', 'mkdir', 'move', 'copy', 'delete'] as const satisfies readonly Operation['kind'][];
const GIVEN_MODE = 1;
const GIVEN_MTIME = 2;
const STATUSES = ['done', 'unchanged', 'refused'] as const satisfies readonly OperationResult['status'][];

/** A put whose chunks may be told as runs of the version it is based on; `resolveRuns` makes an Operation of it. */
export type ChunkRun = { readonly first: number; readonly count: number };
export type PutFrame = Omit<Extract<Operation, { kind: 'put' }>, 'chunks'> & { readonly chunks: readonly (ChunkRef | ChunkRun)[] };
export type OperationFrame = PutFrame | Exclude<Operation, { kind: 'put' }>;

export function writeOperation(writer: FrameWriter, number: number, operation: OperationFrame): void {
  writer.begin(FRAME.operation).u32(number).u8(KINDS.indexOf(operation.kind));
  switch (operation.kind) {
    case 'put':
      writer.text(operation.path).f64(operation.size).f64(operation.mtimeUs).u16(operation.mode);
      writer.f64(baseNumber(operation.base)).bytes(operation.digest);
      writeRuns(writer, operation.chunks);
      break;
    case 'symlink':
      writer.text(operation.path).text(operation.target).f64(operation.mtimeUs).f64(baseNumber(operation.base));
      break;
    case 'mkdir':
      writer.text(operation.path).u8(Number(operation.existingOk));
      writer.u8((operation.mode === null ? 0 : GIVEN_MODE) | (operation.mtimeUs === null ? 0 : GIVEN_MTIME));
      writer.u16(operation.mode ?? 0).f64(operation.mtimeUs ?? 0);
      break;
    case 'move':
      writer.text(operation.from).text(operation.to).f64(baseNumber(operation.base));
      break;
    case 'copy':
      writer.text(operation.from).text(operation.to);
      break;
    case 'delete':
      writer.text(operation.path).f64(baseNumber(operation.base)).u8(Number(operation.onlyEmpty));
      break;
    default:
      assertNever(operation);
  }
  writer.finish();
}

/** @throws AppError `frame_invalid`, `too_large` */
export function readOperation(payload: Uint8Array): { number: number; operation: OperationFrame } {
  const reader = new PayloadReader(payload);
  const number = reader.u32();
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new AppError('frame_invalid', 'unknown kind of operation');
  const operation = readBody(reader, kind);
  reader.end();
  return { number, operation };
}

function readBody(reader: PayloadReader, kind: Operation['kind']): OperationFrame {
  switch (kind) {
    case 'put':
      return {
        kind,
        path: reader.text(),
        size: atMost(reader.f64(), LIMITS.fileBytesMax, 'bytes of a file'),
        mtimeUs: reader.f64(),
        mode: reader.u16(),
        base: readBase(reader),
        digest: reader.bytes(DIGEST_BYTES),
        chunks: readRuns(reader),
      };
    case 'symlink':
      return { kind, path: reader.text(), target: reader.text(), mtimeUs: reader.f64(), base: readBase(reader) };
    case 'mkdir':
      return { kind, path: reader.text(), existingOk: reader.u8() === 1, ...readGiven(reader) };
    case 'move':
      return { kind, from: reader.text(), to: reader.text(), base: readBase(reader) };
    case 'copy':
      return { kind, from: reader.text(), to: reader.text() };
    case 'delete':
      return { kind, path: reader.text(), base: readBase(reader), onlyEmpty: reader.u8() === 1 };
    default:
      return assertNever(kind);
  }
}

function readGiven(reader: PayloadReader): { mode: number | null; mtimeUs: number | null } {
  const given = reader.u8();
  if ((given & ~(GIVEN_MODE | GIVEN_MTIME)) !== 0) throw new AppError('frame_invalid', 'a folder is given something unknown');
  const mode = reader.u16();
  const mtimeUs = reader.f64();
  return { mode: (given & GIVEN_MODE) === 0 ? null : mode, mtimeUs: (given & GIVEN_MTIME) === 0 ? null : mtimeUs };
}

/** Run count u32, runs. */
export function writeRuns(writer: FrameWriter, runs: readonly (ChunkRef | ChunkRun)[]): void {
  writer.u32(runs.length);
  for (const run of runs) {
    if ('digest' in run) writer.u8(0).bytes(run.digest).u32(run.length);
    else writer.u8(1).u32(run.first).u32(run.count);
  }
}

/** @throws AppError `frame_invalid`, `too_large` */
export function readRuns(reader: PayloadReader): (ChunkRef | ChunkRun)[] {
  const count = atMost(reader.u32(), LIMITS.fileChunksMax, 'chunks');
  const runs: (ChunkRef | ChunkRun)[] = [];
  for (let i = 0; i < count; i += 1) {
    runs.push(
      reader.u8() === 0 ? { digest: reader.bytes(DIGEST_BYTES), length: reader.u32() } : { first: reader.u32(), count: reader.u32() },
    );
  }
  return runs;
}

/**
 * Replaces runs by the chunks of the version they come from.
 * @param base chunks of the version that the put is based on
 * @throws AppError `frame_invalid`, `too_large`
 */
export function resolveRuns<T extends ChunkRef>(chunks: readonly (ChunkRef | ChunkRun)[], base: readonly T[]): ChunkRef[] {
  const resolved: ChunkRef[] = [];
  for (const chunk of chunks) {
    if ('digest' in chunk) resolved.push(chunk);
    else {
      if (chunk.first + chunk.count > base.length) throw new AppError('frame_invalid', 'a run reaches beyond the version it is based on');
      for (let i = 0; i < chunk.count; i += 1) resolved.push(base[chunk.first + i] as T);
    }
    atMost(resolved.length, LIMITS.fileChunksMax, 'chunks');
  }
  return resolved;
}

export function hasRuns(put: PutFrame): boolean {
  return put.chunks.some((chunk) => !('digest' in chunk));
}

export function writeResult(writer: FrameWriter, number: number, result: OperationResult): void {
  writer.begin(FRAME.result).u32(number).u8(STATUSES.indexOf(result.status));
  if (result.status === 'refused') writer.text(result.code).text(result.message);
  else writer.f64(result.nodeId).f64(result.version);
  writer.finish();
}

/** @throws AppError `frame_invalid` */
export function readResult(payload: Uint8Array): { number: number; result: OperationResult } {
  const reader = new PayloadReader(payload);
  const number = reader.u32();
  const status = STATUSES[reader.u8()];
  if (status === undefined) throw new AppError('frame_invalid', 'unknown status of a result');
  const result: OperationResult =
    status === 'refused' ? { status, ...readProblem(reader) } : { status, nodeId: reader.f64(), version: reader.f64() };
  reader.end();
  return { number, result };
}

/** Error frame: code, message. */
export function writeError(writer: FrameWriter, error: { code: string; message: string }): void {
  writer.begin(FRAME.error).text(error.code).text(error.message.slice(0, 4096)).finish();
}

export function readError(payload: Uint8Array): AppError {
  const { code, message } = readProblem(new PayloadReader(payload));
  return new AppError(code, message);
}

function readProblem(reader: PayloadReader): { code: (typeof ERROR_CODES)[number]; message: string } {
  const text = reader.text();
  const message = reader.text();
  const code = ERROR_CODES.find((known) => known === text);
  return code === undefined ? { code: 'internal', message: `${text}: ${message}` } : { code, message };
}

function baseNumber(base: Base): number {
  return base === 'absent' ? -1 : base === 'any' ? -2 : base;
}

function readBase(reader: PayloadReader): Base {
  const value = reader.f64();
  if (value < -2) throw new AppError('frame_invalid', 'a base is a version, -1 or -2');
  return value === -1 ? 'absent' : value === -2 ? 'any' : value;
}

function atMost(value: number, max: number, what: string): number {
  if (value < 0) throw new AppError('frame_invalid', `a negative number of ${what}`);
  if (value > max) throw new AppError('too_large', `at most ${max} ${what}`);
  return value;
}

/** Arriving frame: path, size f64 of the new file whose chunks come next. */
export function writeArriving({ path, size }: { readonly path: string; readonly size: number }): Uint8Array {
  return new FrameWriter(256).begin(FRAME.arriving).text(path).f64(size).finish().take();
}

/** @throws AppError `frame_invalid`, `path_invalid` */
export function readArriving(payload: Uint8Array): { path: string; size: number } {
  const reader = new PayloadReader(payload);
  const file = { path: reader.text(), size: reader.f64() };
  reader.end();
  if (file.size <= 0 || file.size > LIMITS.fileBytesMax) throw new AppError('frame_invalid', 'a file cannot have that size');
  if (file.path.length > LIMITS.pathBytesMax) throw new AppError('path_invalid', 'the path is too long');
  return file;
}
