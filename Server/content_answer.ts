import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../Models/errors.ts';
import { splitLast } from '../Models/names.ts';
import type { Manifest } from '../Storage/metadata.ts';
import { type ByteRange, checkConditions, parseRange, rangeStillHolds } from './byte_range.ts';
import { contentHeaders } from './content_headers.ts';
import { sendProblem } from './http_errors.ts';

/**
 * Answers a GET or HEAD for a file's content, whole or in part, as its conditional headers ask (RFC 9110).
 * @param open gives the bytes; called only when some are to be sent. `isPart`: a range of the file was asked for
 */
export async function answerContent(
  request: FastifyRequest,
  reply: FastifyReply,
  manifest: Manifest,
  open: (range: ByteRange, isPart: boolean) => Readable | Promise<Readable>,
): Promise<FastifyReply> {
  const etag = etagOf(manifest);
  const { range: rangeHeader, ...headers } = request.headers;
  const verdict = checkConditions({ ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] }, etag);
  if (verdict === 'failed') return sendProblem(request, reply, PRECONDITION_FAILED, { status: 412 });
  reply.header('etag', etag).header('accept-ranges', 'bytes');
  if (verdict === 'not_modified') return reply.code(304).send();

  const ranged = request.method === 'GET' && rangeStillHolds(headers['if-range']?.toString(), etag);
  const range = ranged ? parseRange(rangeHeader, manifest.size) : null;
  if (range === 'unsatisfiable') {
    const problem = new AppError('range_invalid', `the file has ${manifest.size} bytes`);
    return sendProblem(request, reply, problem, { headers: { 'content-range': `bytes */${manifest.size}` } });
  }
  const part = range ?? { start: 0, end: manifest.size };
  const content = request.method === 'HEAD' ? null : await open(part, range !== null);
  if (range !== null) reply.code(206).header('content-range', `bytes ${range.start}-${range.end - 1}/${manifest.size}`);
  describeContent(reply, manifest, part.end - part.start);
  reply.header('etag', etag);
  return content === null ? reply.send() : reply.send(content);
}

const PRECONDITION_FAILED = new AppError('version_stale', 'the file has another content now');

export function describeContent(reply: FastifyReply, manifest: Pick<Manifest, 'path'>, length: number): void {
  reply.headers(contentHeaders(splitLast(manifest.path).name)).header('content-length', String(length));
}

export function etagOf(manifest: Pick<Manifest, 'digest'>): string {
  return `"${manifest.digest.toString('hex')}"`;
}
