import { randomBytes } from 'node:crypto';
import { AppError, type ErrorCode } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { checkName } from '../../Models/names.ts';
import { MODE, type Operation } from '../../Models/operations.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { Links } from '../../Storage/links.ts';
import type { Metadata } from '../../Storage/metadata.ts';
import { whileLive } from '../authenticate.ts';
import { type Received, receiveContent } from '../upload.ts';
import type { Visit, Visits } from './visits.ts';

export type VisitUploadDeps = {
  readonly visits: Pick<Visits, 'begin' | 'watch'>;
  readonly links: Pick<Links, 'end' | 'undo'>;
  readonly metadata: Pick<Metadata, 'stat' | 'have' | 'recordChunks' | 'commit'>;
  readonly chunks: Pick<ChunkStore, 'append'>;
};

/** A file that has come and is durable, and that nobody sees yet. One of the two must be called. */
export type ArrivedFile = {
  /**
   * Makes it a file of the link's maker. What is there is never replaced: the next free of NAME, NAME (2), NAME (3)… is taken.
   * @returns the name that it got @throws AppError `forbidden`, and what `Metadata.commit` refuses or throws
   */
  keep(): Promise<string>;
  /** As if it had not come. */
  drop(): Promise<void>;
};

/**
 * Takes the bytes of a file that is to go into `folder` (as `Metadata` names it), and one of the link's uses.
 * @throws AppError `not_found` (no uses left, or revoked meanwhile), `name_invalid`, `too_large`, and as `receiveContent`
 */
export async function receiveFile(
  deps: VisitUploadDeps,
  visit: Visit,
  { folder, name, content }: { folder: string; name: string; content: AsyncIterable<Buffer> },
): Promise<ArrivedFile> {
  checkName(name);
  const access = await deps.visits.begin(visit, { action: 'upload', content: null, joins: false, counts: true });
  const orDrop = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      await deps.links.undo(visit.link.id, access);
      throw error;
    }
  };
  const received = await orDrop(receiveContent(deps, visit.maker, whileLive(bounded(content), deps.visits.watch(visit))));
  return {
    async keep() {
      const stored = await orDrop(commitNew(deps.metadata, visit, { folder, name, received }));
      await deps.links.end(visit.link.id, access, received.size);
      return stored;
    },
    drop: () => deps.links.undo(visit.link.id, access),
  };
}

async function* bounded(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > LIMITS.fileBytesMax) throw new AppError('too_large', `a file has at most ${LIMITS.fileBytesMax} bytes`);
    yield piece;
  }
}

type NewFile = { readonly folder: string; readonly name: string; readonly received: Received };

const TAKEN: ReadonlySet<ErrorCode> = new Set(['version_stale', 'name_collides', 'already_exists', 'not_a_file']);
const LOOKED_AT_ONCE = 64;
/** In place of what the maker would be told, which may name paths of theirs, or how much they store. */
const REFUSED: Partial<Record<ErrorCode, string>> = {
  forbidden: 'nothing can be sent here any more',
  not_found: 'there is nothing at this path any more',
  not_a_folder: 'this is not a folder any more',
  quota_exceeded: 'there is no room for this here',
  too_large: 'the file is larger than is taken here',
  type_refused: 'files like this are not taken here',
  path_invalid: 'the name is too long here',
};

async function commitNew(metadata: VisitUploadDeps['metadata'], { maker }: Visit, { folder, name, received }: NewFile): Promise<string> {
  for (let n = 1; n <= LIMITS.linkNameAttemptsMax; ) {
    const names = Array.from({ length: n === 1 ? 1 : LOOKED_AT_ONCE }, (_, i) => numbered(name, n + i));
    const there = await metadata.stat(
      maker,
      names.map((each) => `${folder}/${each}`),
    );
    for (const [i, own] of names.entries()) {
      if (there[i] === null && (await putNew(metadata, maker, `${folder}/${own}`, received))) return own;
    }
    n += names.length;
  }
  throw new AppError('already_exists', 'too many files have this name');
}

/** @returns false if something has that name, also in another spelling */
async function putNew(
  metadata: VisitUploadDeps['metadata'],
  maker: Visit['maker'],
  path: string,
  { size, digest, chunks, unrecorded }: Received,
): Promise<boolean> {
  const put: Operation = { kind: 'put', path, size, mtimeUs: Date.now() * 1000, mode: MODE.file, base: 'absent', digest, chunks };
  const [result] = await metadata.commit(maker, { id: randomBytes(16), firstOperation: 0, resumed: false }, unrecorded, [put]);
  if (result === undefined) throw new AppError('internal', 'the commit gave no result');
  if (result.status !== 'refused') return true;
  if (TAKEN.has(result.code)) return false;
  throw new AppError(result.code, REFUSED[result.code] ?? 'the file was not kept');
}

/** `report (2).pdf`; the name is cut where it would be too long. */
function numbered(name: string, n: number): string {
  if (n === 1) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && name.length - dot <= 16 ? name.slice(dot) : '';
  const end = ` (${n})${extension}`;
  const room = LIMITS.nameBytesMax - Buffer.byteLength(end);
  let stem = name.slice(0, name.length - extension.length);
  while (Buffer.byteLength(stem) > room) stem = Array.from(stem).slice(0, -1).join('');
  return stem + end;
}
