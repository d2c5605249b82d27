import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { UploadFields } from '../Models/rest.ts';
import { fieldText, toAppError } from './http_errors.ts';

export type UploadForm<T> = { readonly fields: z.output<typeof UploadFields>; readonly content: T };

const FORM_LIMITS = {
  fields: LIMITS.multipartFieldsMax,
  fieldNameSize: 64,
  fieldSize: LIMITS.multipartFieldBytesMax,
  files: 1,
  fileSize: LIMITS.fileBytesMax,
  parts: LIMITS.multipartFieldsMax + 1,
  headerPairs: 16,
};

/**
 * Reads a multipart form to its very end: fields, and one file that `receive` takes as a stream. Nothing may be made visible before
 * this resolves, because only then is it known that the form was whole and within its limits.
 * @throws AppError `request_invalid` (no file, unknown or bad field), `too_large`, `upload_interrupted`, and what `receive` throws
 */
export async function readUploadForm<T>(
  request: FastifyRequest,
  receive: (content: AsyncIterable<Buffer>) => Promise<T>,
): Promise<UploadForm<T>> {
  const values = new Map<string, unknown>();
  let content: { readonly received: T } | undefined;
  try {
    for await (const part of request.parts({ limits: FORM_LIMITS })) {
      if (part.type === 'file') content = { received: await receive(part.file) };
      else addField(values, part);
    }
  } catch (error) {
    throw formError(error, request);
  }
  if (content === undefined) throw new AppError('request_invalid', 'the form has no file: a part with a file name');
  return { fields: parseFields(values), content: content.received };
}

function addField(values: Map<string, unknown>, part: Exclude<Multipart, MultipartFile>): void {
  if (part.fieldnameTruncated || part.valueTruncated) throw new AppError('too_large', 'a field of the form is too long');
  if (values.has(part.fieldname)) throw new AppError('request_invalid', `the form has the field ${JSON.stringify(part.fieldname)} twice`);
  values.set(part.fieldname, part.value);
}

function parseFields(values: ReadonlyMap<string, unknown>): z.output<typeof UploadFields> {
  const parsed = UploadFields.safeParse(Object.fromEntries(values));
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const onlyPath = issues.every((issue) => issue.path[0] === 'path' && issue.code !== 'invalid_type');
  const detail = issues.map((issue) => fieldText(issue.path.length === 0 ? 'form' : issue.path.join('/'), issue.message)).join('; ');
  throw new AppError(onlyPath ? 'path_invalid' : 'request_invalid', detail);
}

/** The form parser says with plain errors that a form is malformed or stops before its end. */
export function formError(error: unknown, request: FastifyRequest): AppError {
  const known = toAppError(error);
  if (known.code !== 'internal' || error instanceof AppError) return known;
  if (request.raw.destroyed && !request.raw.readableEnded)
    return new AppError('upload_interrupted', 'the upload was cut off', { cause: error });
  const message = error instanceof Error ? error.message : '';
  const early = /unexpected end|terminated early|premature close|aborted/i.test(message);
  if (early) return new AppError('upload_interrupted', 'the form ends before its last boundary', { cause: error });
  if (/multipart|boundary|malformed|header/i.test(message))
    return new AppError('request_invalid', 'the form is malformed', { cause: error });
  return known;
}
