import { AppError } from './errors.ts';
import { LIMITS } from './limits.ts';

/**
 * The stream format of push, pull, tree and signature, and of the packs at rest. A frame is a type (u8), the payload's length
 * (u32, big-endian) and the payload. The layouts of the payloads are in chunk_frames.ts, operation_frames.ts and tree_frames.ts;
 * docs/PROTOCOL.md shows them byte by byte.
 */
export const FRAME = {
  chunk: 1, // content: client to server, server to client, and at rest
  operation: 2, // client to server
  result: 3, // server to client, one for each operation
  end: 4, // the last frame of a stream: one that stops without it was cut off
  error: 5, // server to client: code and message; nothing follows
  missing: 6, // pull: the digest of a chunk that the caller cannot read
  folder: 7, // tree: entries of one folder
  paths: 8, // tree: paths of folders
  manifest: 9, // tree
  signature: 10, // signature of one chunk
  nodes: 11, // tree: nodes as they are now
  cursor: 12, // tree: up to where nodes were told
  runs: 13, // tree: a manifest told against an older version
  past: 14, // push: the client's cursor, and from the server the one past what the push did
  arriving: 15, // push: the next chunks are of this new file
} as const;

export const FRAME_TYPE = 'application/vnd.driftless.frames';
export const FRAME_HEADER_BYTES = 5;
/** A frame in more pieces is put together as it comes: each piece costs more than a hundred bytes, and may hold one. */
const PIECES_MAX = 1024;

/** A frame as it lies in the stream: `pieces` are slices of the received buffers, header included, nothing copied. */
export type Frame = { readonly type: number; readonly length: number /* of the payload, bytes */; readonly pieces: readonly Uint8Array[] };

/**
 * Cuts a byte stream into frames. Frames that lie whole in one buffer, the usual case, are one slice of it.
 */
export class FrameParser {
  #pieces: Uint8Array[] = []; // of a frame that began in an earlier buffer
  #have = 0; // bytes in #pieces
  #need = 0; // bytes of that frame, header included; 0 while its header is not complete
  #gathered: Uint8Array | null = null; // the whole frame, once it came in too many pieces

  /**
   * Calls `onFrame` for each frame that `bytes` completes. `bytes` must not be changed afterwards.
   * @throws AppError `frame_invalid`: unknown type, too long
   */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = this.#have > 0 ? this.#continue(bytes, onFrame) : 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + frameBytes(bytes, at);
      if (end > bytes.length) break;
      onFrame({ type: bytes[at] as number, length: end - at - FRAME_HEADER_BYTES, pieces: [bytes.subarray(at, end)] });
      at = end;
    }
    if (at === bytes.length) return;
    this.#pieces = [bytes.subarray(at)];
    this.#have = bytes.length - at;
    this.#need = this.#have >= FRAME_HEADER_BYTES ? frameBytes(bytes, at) : 0;
  }

  /** @throws AppError `upload_interrupted` when the stream stopped inside a frame */
  assertBoundary(): void {
    if (this.#have > 0) throw new AppError('upload_interrupted', 'the stream ended inside a frame');
  }

  /** Adds to the frame that began earlier. @returns how many of `bytes` it took */
  #continue(bytes: Uint8Array, onFrame: (frame: Frame) => void): number {
    let at = 0;
    if (this.#need === 0) {
      at = this.#take(bytes, at, FRAME_HEADER_BYTES);
      if (this.#have < FRAME_HEADER_BYTES) return at;
      const header = joinBytes(this.#pieces);
      this.#need = frameBytes(header, 0);
      this.#pieces = [header];
    }
    at = this.#take(bytes, at, this.#need);
    if (this.#have < this.#need) return at;
    const pieces = this.#gathered === null ? this.#pieces : [this.#gathered];
    this.#pieces = [];
    this.#gathered = null;
    this.#have = 0;
    onFrame({ type: (pieces[0] as Uint8Array)[0] as number, length: this.#need - FRAME_HEADER_BYTES, pieces });
    return at;
  }

  #take(bytes: Uint8Array, at: number, until: number): number {
    const end = Math.min(bytes.length, at + until - this.#have);
    const piece = bytes.subarray(at, end);
    if (this.#gathered !== null) this.#gathered.set(piece, this.#have);
    else if (piece.length > 0) this.#pieces.push(piece);
    this.#have += piece.length;
    if (this.#pieces.length >= PIECES_MAX) this.#gather();
    return end;
  }

  #gather(): void {
    this.#gathered = new Uint8Array(this.#need);
    this.#gathered.set(joinBytes(this.#pieces));
    this.#pieces = [];
  }
}

/** Length of the frame whose header is at `at`, header included. */
function frameBytes(bytes: Uint8Array, at: number): number {
  const type = bytes[at] as number;
  if (type === 0 || type > FRAME.arriving) throw new AppError('frame_invalid', `unknown frame type ${type}`);
  const length = readU32(bytes, at + 1);
  if (length > LIMITS.frameBytesMax - FRAME_HEADER_BYTES) throw new AppError('frame_invalid', `a frame of ${length} bytes is too long`);
  return FRAME_HEADER_BYTES + length;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 + (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces.length === 1 ? pieces[0] : undefined;
  if (only !== undefined) return only;
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The frame's payload in one piece (copied only if it lay in several buffers). */
export function payloadOf(frame: Frame): Uint8Array {
  return joinBytes(frame.pieces).subarray(FRAME_HEADER_BYTES);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const NOTHING = new Uint8Array(0);

/** Writes frames into one growing buffer; `take` hands it over. */
export class FrameWriter {
  #bytes: Uint8Array<ArrayBuffer> = NOTHING; // made when there is something to write
  #view = new DataView(NOTHING.buffer);
  #capacity: number;
  #at = 0;
  #frameStart = 0;

  constructor(capacityBytes = 64 * 1024) {
    this.#capacity = capacityBytes;
  }

  get length(): number {
    return this.#at;
  }

  begin(type: number): this {
    this.#frameStart = this.#at;
    this.u8(type);
    return this.u32(0);
  }

  /** @throws AppError `too_large` when the frame is longer than a frame may be */
  finish(): this {
    const length = this.#at - this.#frameStart - FRAME_HEADER_BYTES;
    if (length > LIMITS.frameBytesMax - FRAME_HEADER_BYTES) throw new AppError('too_large', `a frame of ${length} bytes is too long`);
    this.#view.setUint32(this.#frameStart + 1, length);
    return this;
  }

  u8(value: number): this {
    this.#grow(1);
    this.#bytes[this.#at] = value;
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#grow(2);
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#grow(4);
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  /** An integer of at most 53 bits, as a double. */
  f64(value: number): this {
    this.#grow(8);
    this.#view.setFloat64(this.#at, value);
    this.#at += 8;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#grow(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** UTF-8 with its length in bytes before it (u16). */
  text(value: string): this {
    this.#grow(2 + value.length * 3);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(this.#at + 2));
    this.#view.setUint16(this.#at, written);
    this.#at += 2 + written;
    return this;
  }

  /** Room for `length` bytes that the caller writes itself; they count once `advance` says so. Valid until the next call. */
  reserve(length: number): { bytes: Uint8Array<ArrayBuffer>; at: number } {
    this.#grow(length);
    return { bytes: this.#bytes, at: this.#at };
  }

  advance(length: number): this {
    this.#at += length;
    return this;
  }

  /** What was written so far; the writer goes on with a new buffer. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#at);
    this.#bytes = NOTHING;
    this.#at = 0;
    return taken;
  }

  #grow(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    this.#capacity = Math.max(this.#capacity, this.#bytes.length * 2, this.#at + more);
    const bytes = new Uint8Array(this.#capacity);
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** Reads a payload; every overrun is a malformed frame, never an undefined. @throws AppError `frame_invalid` from each method */
export class PayloadReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(payload: Uint8Array) {
    this.#bytes = payload;
    this.#view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** @throws AppError `frame_invalid` also when the number is not a safe integer */
  f64(): number {
    const value = this.#view.getFloat64(this.#advance(8));
    if (!Number.isSafeInteger(value)) throw new AppError('frame_invalid', 'a number is not a whole number of 53 bits');
    return value;
  }

  bytes(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(): string {
    const bytes = this.bytes(this.u16());
    return decodeText(bytes);
  }

  /** @throws AppError `frame_invalid` when bytes are left over */
  end(): void {
    if (this.remaining !== 0) throw new AppError('frame_invalid', `${this.remaining} bytes too many in a frame`);
  }

  #advance(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new AppError('frame_invalid', 'a frame is shorter than its content');
    this.#at = at + length;
    return at;
  }
}

function decodeText(bytes: Uint8Array): string {
  // short ASCII names are most of all text here, and a call into the decoder costs more than they do
  if (bytes.length <= 48) {
    let text = '';
    for (let i = 0; i < bytes.length; i += 1) {
      const byte = bytes[i] as number;
      if (byte >= 0x80) return decodeUtf8(bytes);
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decodeUtf8(bytes);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new AppError('frame_invalid', 'text is not UTF-8', { cause });
  }
}
