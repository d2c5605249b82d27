import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AppError, ErrorCode } from '../../Models/errors.ts';
import { STATUS, sendProblem, toAppError } from '../http_errors.ts';
import { passwordPage, refusalPage } from './visit_pages.ts';
import { PAGE_HEADERS } from './visit_style.ts';

/** Browsers name HTML among what they take; curl and its like take anything, and get text. */
export function wants({ headers }: FastifyRequest): 'page' | 'json' | 'any' {
  const accept = (headers.accept ?? '').toLowerCase();
  if (accept.includes('text/html')) return 'page';
  return accept.includes('application/json') ? 'json' : 'any';
}

export function sendPage(request: FastifyRequest, reply: FastifyReply, page: string | AsyncIterable<string>): FastifyReply {
  reply.headers(PAGE_HEADERS).type('text/html; charset=utf-8');
  return sendText(request, reply, page);
}

export function sendText(request: FastifyRequest, reply: FastifyReply, text: string | AsyncIterable<string>): FastifyReply {
  if (request.method === 'HEAD') return reply.send();
  return reply.send(typeof text === 'string' ? text : Readable.from(text, { objectMode: false }));
}

/** What a person is told in place of a problem document. */
const SAID: Partial<Record<ErrorCode, readonly [title: string, text: string]>> = {
  not_found: ['Nothing here', 'There is no such link, or it is over, or what it led to is gone.'],
  forbidden: ['Not allowed', 'This link does not allow that.'],
  too_many_requests: ['Too many tries', 'Please wait a minute and try again.'],
  busy: ['Busy', 'Too much is going on right now. Please try again soon.'],
  quota_exceeded: ['No space left', 'What you sent does not fit and was not kept.'],
  type_refused: ['Not taken here', 'Files like this are not taken here.'],
  storage_full: ['No space left', 'What you sent does not fit and was not kept.'],
  too_large: ['Too large', 'That is more than can be sent or fetched at once.'],
  name_invalid: ['This name cannot be kept', 'Please give the file another name and send it again.'],
};

/** Refusals in the form that the visitor asked for; pages and problem documents say the same. */
export function answerRefusals(scope: FastifyInstance): void {
  scope.setErrorHandler((failure, request, reply) => {
    const error = toAppError(failure);
    if (wants(request) === 'page') return sendProblem(request, reply, error, { headers: PAGE_HEADERS, page: pageFor(request, error) });
    const headers = error.code === 'credentials_wrong' ? { headers: { 'www-authenticate': BASIC } } : {};
    return sendProblem(request, reply, error, headers);
  });
}

/** Not on a page: a browser would ask for a user name as well. */
const BASIC = 'Basic realm="link", charset="UTF-8"';

function pageFor(request: FastifyRequest, error: AppError): string {
  if (error.code === 'credentials_wrong') return passwordPage(linkToken(request), request.method === 'POST');
  const [title, text] = SAID[error.code] ?? (STATUS[error.code] < 500 ? REFUSED : FAILED);
  return refusalPage(title, text);
}

const REFUSED = ['That did not work', 'Please go back and try again.'] as const;
const FAILED = ['Something failed', 'The server could not answer. Please try again later.'] as const;

function linkToken(request: FastifyRequest): string {
  return /^[\w-]{22}$/.exec((request.params as { token?: string }).token ?? '')?.[0] ?? '';
}
