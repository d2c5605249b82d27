import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError, type ErrorCode } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import type { Problem } from '../Models/rest.ts';

/** The HTTP status of each code; this file alone knows them. */
export const STATUS = {
  credentials_wrong: 401,
  name_taken: 409,
  registration_closed: 403,
  invite_invalid: 403,
  invite_malformed: 400,
  ticket_missing: 401,
  ticket_invalid: 401,
  ticket_expired: 401,
  ticket_revoked: 401,
  session_unknown: 401,
  not_logged_in: 401,
  server_key_unknown: 502,
  server_key_changed: 502,
  server_certificate_changed: 502,
  protocol_mismatch: 400,
  auth_unreachable: 503,
  busy: 503,
  not_found: 404,
  forbidden: 403,
  name_invalid: 400,
  path_invalid: 400,
  name_collides: 409,
  already_exists: 409,
  not_a_folder: 409,
  not_a_file: 409,
  not_text: 409,
  not_empty: 409,
  folder_into_itself: 409,
  type_refused: 403,
  quota_exceeded: 413,
  version_stale: 409,
  deletes_held: 409,
  owner_offline: 409,
  user_unknown: 404,
  invitation_invalid: 409,
  cursor_invalid: 400,
  request_invalid: 400,
  content_type_unsupported: 415,
  range_invalid: 416,
  method_unknown: 405,
  digest_mismatch: 422,
  length_mismatch: 400,
  chunk_missing: 409,
  frame_invalid: 400,
  upload_interrupted: 400,
  file_changed: 409,
  local_io: 500,
  too_large: 413,
  too_many_requests: 429,
  storage_full: 507,
  storage_unavailable: 503,
  corrupt: 500,
  data_folder_locked: 500,
  data_folder_unusable: 500,
  port_in_use: 500,
  config_invalid: 500,
  server_unreachable: 502,
  cancelled: 400,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** What Fastify and its plugins call their failures, in our codes. */
const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'content_type_unsupported',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'length_mismatch',
  FST_PARTS_LIMIT: 'too_large',
  FST_FILES_LIMIT: 'too_large',
  FST_FIELDS_LIMIT: 'too_large',
  FST_REQ_FILE_TOO_LARGE: 'too_large',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'content_type_unsupported',
  FST_MP_PREMATURE_CLOSE: 'upload_interrupted',
  FST_ERR_NOT_FOUND: 'not_found',
  ECONNRESET: 'upload_interrupted',
};

const PATH_FIELDS: ReadonlySet<string> = new Set(['/path', '/from', '/to']);

type FrameworkError = {
  readonly code?: string;
  readonly statusCode?: number;
  readonly message: string;
  readonly validation?: readonly { readonly instancePath: string; readonly keyword: string; readonly message?: string }[];
  readonly validationContext?: string;
};

/** Any failure as an AppError: ours as it is, the framework's by its code, everything else `internal`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof Error)) return new AppError('internal', 'unexpected failure', { cause: error });
  const failure: FrameworkError = error;
  if (failure.validation !== undefined) return validationError(failure, error);
  const code = FRAMEWORK_CODES[failure.code ?? ''];
  if (code !== undefined) return new AppError(code, failure.message, { cause: error });
  const status = failure.statusCode ?? 500;
  if (status >= 400 && status < 500) return new AppError('request_invalid', failure.message, { cause: error });
  return new AppError('internal', failure.message, { cause: error });
}

function validationError(failure: FrameworkError, cause: Error): AppError {
  const issues = failure.validation ?? [];
  const detail = issues.map((issue) => {
    const field = issue.instancePath === '' ? (failure.validationContext ?? 'request') : issue.instancePath.slice(1);
    return fieldText(field, issue.message ?? issue.keyword);
  });
  const onlyPaths = issues.length > 0 && issues.every((issue) => PATH_FIELDS.has(issue.instancePath) && issue.keyword !== 'invalid_type');
  return new AppError(onlyPaths ? 'path_invalid' : 'request_invalid', detail.join('; '), { cause });
}

/** What a schema says of a field, without words that only its author understands: people read it behind the name of a command. */
export function fieldText(field: string, message: string): string {
  const said = message
    .replace(/^Invalid (string|input): /, '')
    .replace(/^must match pattern \/\^\[0-9a-f\]\{(\d+)\}\$\/$/, 'must be $1 hexadecimal digits (0-9, a-f)');
  return `${field}: ${said}`;
}

/** RFC 9457. A 5xx says its code and the request id, nothing of what happened inside. */
export function problemOf(error: AppError, requestId: string, status: number = STATUS[error.code]): Problem {
  return {
    type: `urn:driftless:problem:${error.code}`,
    title: error.code.replaceAll('_', ' '),
    status,
    ...(status < 500 && { detail: error.message }),
    code: error.code,
    ...(error.reason !== undefined && { reason: error.reason }),
    requestId,
  };
}

type ProblemOptions = {
  /** Only where a header of the request decides it, for example 412 for a failed precondition. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** HTML for a person in place of the problem document. */
  readonly page?: string;
};

export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: AppError, options: ProblemOptions = {}): FastifyReply {
  const status = options.status ?? STATUS[error.code];
  if (status >= 500) request.log.error({ err: error, code: error.code }, 'request failed');
  for (const name of CONTENT_HEADERS) reply.removeHeader(name);
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (status === 503 || status === 429) reply.header('retry-after', '1');
  if (options.headers !== undefined) reply.headers(options.headers);
  drainBody(request);
  // a string, so that no route's response schema has a say in it
  return reply
    .code(status)
    .type(options.page === undefined ? PROBLEM_TYPE : 'text/html; charset=utf-8')
    .serializer(asIs)
    .send(options.page ?? JSON.stringify(problemOf(error, request.id, status)));
}

export const PROBLEM_TYPE = 'application/problem+json';
const CONTENT_HEADERS = ['content-length', 'content-range', 'content-disposition', 'etag', 'accept-ranges'];

function asIs(payload: unknown): string {
  return payload as string;
}

/**
 * Reads the rest of a refused body away, for a limited time: closing at once would reset the connection, and the client, still
 * sending, would never see why it was refused.
 */
function drainBody(request: FastifyRequest): void {
  const body = request.raw;
  if (body.complete || body.destroyed) return;
  body.unpipe();
  body.resume();
  const timer = setTimeout(() => body.destroy(), LIMITS.drainTimeoutMs).unref();
  body.once('close', () => clearTimeout(timer));
}
