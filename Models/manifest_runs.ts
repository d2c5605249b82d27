import { DIGEST_BYTES } from './chunk_frames.ts';
import { FRAME, type FrameWriter, PayloadReader } from './frames.ts';
import { type ChunkRun, readRuns, writeRuns } from './operation_frames.ts';
import type { ChunkRef } from './operations.ts';

/** A file's manifest told against an older version of the file: what that version has is named by its place in it. */
export type ManifestRuns = {
  readonly version: number;
  readonly size: number; // bytes
  readonly digest: Uint8Array; // content id
  readonly runs: readonly (ChunkRef | ChunkRun)[];
};

/** Runs frame: found u8, and unless there is nothing: version f64, size f64, content id (32), run count u32, runs as in a put. */
export function writeManifestRuns(writer: FrameWriter, manifest: ManifestRuns | null): void {
  writer.begin(FRAME.runs).u8(Number(manifest !== null));
  if (manifest !== null) {
    writer.f64(manifest.version).f64(manifest.size).bytes(manifest.digest);
    writeRuns(writer, manifest.runs);
  }
  writer.finish();
}

/** @throws AppError `frame_invalid`, `too_large` */
export function readManifestRuns(payload: Uint8Array): ManifestRuns | null {
  const reader = new PayloadReader(payload);
  if (reader.u8() === 0) return null;
  const version = reader.f64();
  const size = reader.f64();
  const digest = reader.bytes(DIGEST_BYTES);
  const runs = readRuns(reader);
  reader.end();
  return { version, size, digest, runs };
}

/**
 * Tells the chunks of a file one by one against the version before it.
 * Chunks keep their order in most changes, so what most likely comes next is the chunk behind the last one that was found.
 */
export class RunWriter<T extends ChunkRef> {
  readonly #base: readonly T[];
  readonly #places: ReadonlyMap<string, number>;
  #next = 0; // index in the base
  readonly runs: (ChunkRef | ChunkRun)[] = [];

  constructor(base: readonly T[]) {
    this.#base = base;
    this.#places = new Map(base.map((chunk, i) => [keyOf(chunk.digest), i]));
  }

  /** The chunk of the base that most likely comes next, or in whose place a new one stands. */
  get expected(): T | null {
    return this.#base[this.#next] ?? null;
  }

  /** @returns its index in the base, `null` if that has it not */
  add({ digest, length }: ChunkRef): number | null {
    const { expected } = this;
    const place = expected !== null && sameBytes(digest, expected.digest) ? this.#next : this.#places.get(keyOf(digest));
    if (place === undefined) {
      this.runs.push({ digest, length });
      this.#next += 1;
      return null;
    }
    const last = this.runs.at(-1);
    if (last !== undefined && 'first' in last && last.first + last.count === place) {
      this.runs[this.runs.length - 1] = { first: last.first, count: last.count + 1 };
    } else this.runs.push({ first: place, count: 1 });
    this.#next = place + 1;
    return place;
  }
}

function keyOf(digest: Uint8Array): string {
  return String.fromCharCode(...digest);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
