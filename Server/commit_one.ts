import { createHash, randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Operation } from '../Models/operations.ts';
import type { Metadata, Principal, StoredChunk, StreamPosition } from '../Storage/metadata.ts';

export type Written = { readonly version: number; readonly unchanged: boolean };

/** One operation in a transaction of its own. @throws AppError with the refusal's code, and what `Metadata.commit` throws */
export async function commitOne(
  metadata: Pick<Metadata, 'commit'>,
  principal: Principal,
  stream: StreamPosition,
  operation: Operation,
  chunks: readonly StoredChunk[] = [],
): Promise<Written> {
  const [result] = await metadata.commit(principal, stream, chunks, [operation]);
  if (result === undefined) throw new AppError('internal', 'the commit gave no result');
  if (result.status === 'refused') throw new AppError(result.code, result.message);
  return { version: result.version, unchanged: result.status === 'unchanged' };
}

/**
 * The place of this request among the safely repeatable ones. Its name is made of the user, the client's key and what was asked, so
 * that a key used again for something else is a new request and never answered with an old result.
 * @throws AppError `request_invalid` for a key that is empty or too long
 */
export function streamOf(request: FastifyRequest, principal: Principal, asked: readonly unknown[]): StreamPosition {
  const key = idempotencyKey(request);
  if (key === null) return { id: randomBytes(16), firstOperation: 0, resumed: false };
  const preimage = JSON.stringify([principal.userId, key, request.method, request.routeOptions.url, ...asked]);
  return { id: createHash('sha256').update(preimage).digest().subarray(0, 16), firstOperation: 0, resumed: true };
}

function idempotencyKey(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > LIMITS.idempotencyKeyBytesMax) {
    throw new AppError('request_invalid', `Idempotency-Key: 1 to ${LIMITS.idempotencyKeyBytesMax} bytes`);
  }
  return key;
}
