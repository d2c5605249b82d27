import { setImmediate } from 'node:timers/promises';
import { CHUNK_FRAME_HEADER_BYTES, ENCODING, writeRawChunkHeader } from '../../Models/chunk_frames.ts';
import { writeDelta } from '../../Models/delta.ts';
import { AppError } from '../../Models/errors.ts';
import { FRAME, FrameWriter } from '../../Models/frames.ts';
import { LIMITS } from '../../Models/limits.ts';
import { RunWriter } from '../../Models/manifest_runs.ts';
import type { ChunkRun } from '../../Models/operation_frames.ts';
import type { ChunkRef } from '../../Models/operations.ts';
import type { Http } from '../http.ts';
import type { ByteSource } from './byte_file.ts';
import { ChunkReader, type FileChunk } from './chunk_reader.ts';
import { compressChunk } from './compression.ts';
import { sha256 } from './local_files.ts';
import type { PushStream } from './push_stream.ts';
import { askHave, fetchSignatures } from './requests.ts';

export type SendOptions = {
  readonly http: Http;
  readonly compress: boolean;
  readonly deltas: boolean;
  /** It was begun before: the server is asked also about chunks that would go as deltas. */
  readonly resumed: boolean;
  /** Told how many chunks the server turned out to hold already, so far. */
  readonly onHeld?: (chunks: number) => void;
  /** A frame ahead of the first chunk of the file, if that one is sent. */
  readonly ahead?: Uint8Array | null;
  /** Of the file, as far as it is known. */
  readonly sizeBytes?: number;
};
/** Where frames go; asked again for each of them, since a stream may have been replaced. */
type Stream = () => Pick<PushStream<unknown>, 'send'>;
/** A chunk that the replaced version does not have, with the chunk in whose place it most likely stands. */
type NewChunk = FileChunk & { readonly base: ChunkRef | null };

const GROUP_BYTES = 8 << 20; // new chunks are asked about and sent in groups of about this size
const RUN_BYTES = 37;
const RUNS_MAX = Math.floor((LIMITS.frameBytesMax - LIMITS.pathBytesMax - 256) / RUN_BYTES); // an operation is one frame
const DELTA_WORTHWHILE = 0.7;
const WORTHLESS_MAX = 8; // deltas one after the other that saved little: a file with other content altogether is not searched to its end

/** All chunks of the content; `runs` tells them against the version that it was compared with. */
export type SentContent = { readonly chunks: readonly ChunkRef[]; readonly runs: readonly (ChunkRef | ChunkRun)[] };

/**
 * Sends the chunks of a long file: what the replaced version has is only referred to, what the server holds otherwise is not sent, a
 * chunk that stands in the place of another one goes as a delta against it. Nothing of the file is held beyond two groups.
 * @param base chunks of the replaced version, none if there is none. When this returns or throws, nothing reads the source any more.
 * @throws AppError `too_large`, what the connection throws; and the errors of the source
 */
export async function sendContent(
  options: SendOptions,
  stream: Stream,
  source: ByteSource,
  base: readonly ChunkRef[],
): Promise<SentContent> {
  const reader = new ChunkReader(source, options.sizeBytes);
  const sender = new GroupSender(options, stream);
  try {
    const sent = await cutAgainst(reader, base, sender);
    await sender.end();
    if (sent.runs.length > RUNS_MAX) throw new AppError('too_large', `a file of more than ${RUNS_MAX} new chunks cannot be sent at once`);
    return sent;
  } finally {
    // what failed was already thrown where it was awaited; half a chunk frame must not be left for others to go on behind
    await Promise.allSettled([reader.settle(), sender.settle()]);
  }
}

/** Cuts the file, giving each chunk that `base` does not have to `sender`. */
async function cutAgainst(reader: ChunkReader, base: readonly ChunkRef[], sender: GroupSender): Promise<SentContent> {
  const against = new RunWriter(base);
  const chunks: ChunkRef[] = [];
  for (let chunk = await reader.next(against.expected); chunk !== null; chunk = await reader.next(against.expected)) {
    const { digest, length } = chunk;
    const { expected } = against;
    chunks.push({ digest, length });
    if (against.add({ digest, length }) !== null) chunk.release();
    else await sender.add({ ...chunk, base: expected });
  }
  return { chunks, runs: against.runs };
}

/** Asks the server about one group of new chunks while the next one is read and hashed. */
class GroupSender {
  readonly #options: SendOptions;
  readonly #stream: Stream;
  #group: NewChunk[] = [];
  #bytes = 0;
  #isFirst = true;
  #heldCount = 0;
  #worthless = 0; // deltas, one after the other
  #asked: Promise<void> = Promise.resolve();

  constructor(options: SendOptions, stream: Stream) {
    this.#options = options;
    this.#stream = stream;
  }

  async add(chunk: NewChunk): Promise<void> {
    this.#group.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= GROUP_BYTES) await this.#handOver();
    await setImmediate(); // the socket goes on with the group before while this one is read and hashed
  }

  async end(): Promise<void> {
    await this.#handOver();
    await this.#asked;
  }

  /** Nothing is being sent any more. */
  settle(): Promise<void> {
    return this.#asked;
  }

  async #handOver(): Promise<void> {
    await this.#asked;
    const group = this.#group;
    this.#group = [];
    this.#bytes = 0;
    this.#asked = this.#sendGroup(group);
    this.#asked.catch(Boolean); // thrown by the next hand-over or by the end
  }

  async #sendGroup(group: readonly NewChunk[]): Promise<void> {
    if (group.length === 0) return;
    const held = this.#options.resumed ? await this.#held(group) : new Set<NewChunk>();
    const told = group.filter((chunk) => !held.has(chunk));
    const signatures = await this.#signatures(told);
    if (!this.#options.resumed) for (const chunk of await this.#held(told.filter((_, i) => signatures[i] === undefined))) held.add(chunk);
    const { ahead = null } = this.#options;
    if (this.#isFirst && ahead !== null && !held.has(group[0] as NewChunk)) await this.#stream().send(ahead);
    this.#isFirst = false;
    for (const [i, chunk] of told.entries()) if (!held.has(chunk)) await this.#send(chunk, signatures[i]);
    for (const chunk of held) chunk.release();
    this.#heldCount += held.size;
    this.#options.onHeld?.(this.#heldCount);
  }

  async #held(chunks: readonly NewChunk[]): Promise<Set<NewChunk>> {
    if (chunks.length === 0) return new Set();
    const held = await askHave(
      this.#options.http,
      chunks.map(({ digest }) => digest),
    );
    return new Set(chunks.filter((_, i) => held[i] === true));
  }

  /** Signatures of the chunks that stood where these stand; `undefined` without one. */
  async #signatures(group: readonly NewChunk[]): Promise<(Uint8Array | undefined)[]> {
    const bases =
      this.#options.deltas && this.#worthless < WORTHLESS_MAX ? group.flatMap(({ base }) => (base === null ? [] : [base.digest])) : [];
    if (bases.length === 0) return [];
    const found = await fetchSignatures(this.#options.http, bases);
    let next = 0;
    return group.map(({ base }) => {
      if (base === null) return undefined;
      next += 1;
      const signature = found[next - 1];
      return signature === undefined || signature.length === 0 ? undefined : signature;
    });
  }

  async #send(chunk: NewChunk, signature: Uint8Array | undefined): Promise<void> {
    const { digest, content, release } = chunk;
    const shorter = this.#delta(chunk, signature) ?? (this.#options.compress ? compressChunk(content, digest) : null);
    if (shorter !== null) {
      release();
      await this.#stream().send(shorter);
      return;
    }
    const header = new Uint8Array(CHUNK_FRAME_HEADER_BYTES);
    writeRawChunkHeader(header, 0, digest, content.length);
    await this.#stream().send(header);
    await this.#stream().send(content, release);
  }

  /** `null` where it would save little. */
  #delta({ digest, content, base }: NewChunk, signature: Uint8Array | undefined): Uint8Array | null {
    if (signature === undefined || base === null || this.#worthless >= WORTHLESS_MAX) return null;
    const writer = new FrameWriter(4096);
    writer.begin(FRAME.chunk).u8(ENCODING.delta).bytes(digest).u32(content.length).bytes(base.digest);
    const newBytes = writeDelta(writer, content, signature, sha256);
    const worthwhile = newBytes < content.length * DELTA_WORTHWHILE;
    this.#worthless = worthwhile ? 0 : this.#worthless + 1;
    return worthwhile ? writer.finish().take() : null;
  }
}
