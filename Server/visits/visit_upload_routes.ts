import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { addressGroup, plainAddress } from '../../Models/addresses.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { LINK_PREFIX } from '../../Models/links.ts';
import { visible, visibleJson } from '../../Models/visible.ts';
import type { Metadata } from '../../Storage/metadata.ts';
import { createTurns } from '../turns.ts';
import { formError } from '../upload_form.ts';
import { sendPage, sendText, wants } from './visit_answers.ts';
import { entriesOf } from './visit_listings.ts';
import { dropPage, folderPage } from './visit_pages.ts';
import { type ArrivedFile, receiveFile, type VisitUploadDeps } from './visit_upload.ts';
import { PASS_COOKIE, takesFiles, type Visit, type Visits } from './visits.ts';

export type VisitUploadRouteDeps = VisitUploadDeps & {
  readonly visits: Visits;
  readonly metadata: Pick<Metadata, 'readFolders'>;
};

const FORM = 'multipart/form-data';
const PASSWORD_FORM = 'application/x-www-form-urlencoded';
const PASSWORD_FORM_BYTES_MAX = 4 * LIMITS.passwordBytesMax;

/** Files from visitors: `PUT …/NAME` with the bytes, or a form; and the form of a password. */
export function registerVisitUploads(scope: FastifyInstance, deps: VisitUploadRouteDeps): void {
  const turns = createTurns({ most: LIMITS.uploadsMax, each: LIMITS.linkUploadsPerVisitorMax });
  const inTurn = <T>({ ip }: FastifyRequest, work: () => Promise<T>): Promise<T> => turns(addressGroup(plainAddress(ip)), work);
  scope.addContentTypeParser(PASSWORD_FORM, { parseAs: 'string', bodyLimit: PASSWORD_FORM_BYTES_MAX }, (_request, body, done) =>
    done(null, body),
  );
  for (const url of [`${LINK_PREFIX}/:token`, `${LINK_PREFIX}/:token/*`]) {
    const config = { public: true, stream: true, accepts: [FORM, PASSWORD_FORM] } as const;
    scope.post(url, { config, schema: { hide: true } }, (request, reply) =>
      request.isMultipart() ? inTurn(request, () => takeForm(request, reply, deps)) : unlock(request, reply, deps),
    );
  }
  void scope.register(async (plain) => {
    plain.removeAllContentTypeParsers();
    plain.addContentTypeParser('*', (_request, _body, done) => done(null)); // whatever type it says: the bytes are read as they come
    const config = { public: true, stream: true, accepts: 'any' } as const;
    plain.put(`${LINK_PREFIX}/:token/*`, { config, schema: { hide: true } }, (request, reply) =>
      inTurn(request, () => takeBody(request, reply, deps)),
    );
  });
}

/** The folder that files go into, as `Metadata` names it. @throws AppError `forbidden`, `not_found`, `not_a_folder` */
async function folderFor({ metadata }: VisitUploadRouteDeps, visit: Visit, names: readonly string[]): Promise<string> {
  if (!takesFiles(visit)) throw new AppError('forbidden', 'nothing can be sent here');
  if (visit.link.mode === 'upload' && names.length > 0) throw new AppError('not_found', 'there is nothing at this path');
  const path = [`@${visit.link.node}`, ...names].join('/');
  const [entry] = await metadata.stat(visit.maker, [path]);
  if (entry == null) throw new AppError('not_found', 'there is nothing at this path');
  if (entry.kind !== 'folder') throw new AppError('not_a_folder', 'this is not a folder');
  return path;
}

async function takeBody(request: FastifyRequest, reply: FastifyReply, deps: VisitUploadRouteDeps): Promise<FastifyReply> {
  const visit = await deps.visits.enter(request);
  const name = visit.below.at(-1);
  if (name === undefined) throw new AppError('name_invalid', 'the URL ends in the name of the file');
  const folder = await folderFor(deps, visit, visit.below.slice(0, -1));
  const file = await receiveFile(deps, visit, { folder, name, content: request.raw });
  return answerNames(request, reply, [told(visit, name, await file.keep())]);
}

/** A file is known to be whole only when the form goes on behind it, or ends as it should. */
async function takeForm(request: FastifyRequest, reply: FastifyReply, deps: VisitUploadRouteDeps): Promise<FastifyReply> {
  const visit = await deps.visits.enter(request);
  const folder = await folderFor(deps, visit, visit.below);
  const names: string[] = [];
  let arrived: { readonly name: string; readonly file: ArrivedFile } | null = null;
  const keepArrived = async (): Promise<void> => {
    const last = arrived;
    arrived = null;
    if (last !== null) names.push(told(visit, last.name, await last.file.keep()));
  };
  try {
    for await (const part of request.parts({ limits: FORM_LIMITS })) {
      await keepArrived();
      if (part.type !== 'file') continue;
      const { filename: name, file: content } = part;
      if (name === undefined || name === '') content.resume();
      else arrived = { name, file: await receiveFile(deps, visit, { folder, name, content }) };
    }
    await keepArrived();
  } catch (error) {
    await (arrived as { file: ArrivedFile } | null)?.file.drop();
    throw formError(error, request);
  }
  if (names.length === 0) throw new AppError('request_invalid', 'the form has no file');
  if (wants(request) !== 'page') return answerNames(request, reply, names);
  if (visit.link.mode === 'upload') return sendPage(request, reply, dropPage(visit, names));
  return sendPage(request, reply, folderPage(visit, entriesOf(deps.metadata, visit, visit.path), names));
}

const FORM_LIMITS = {
  fields: LIMITS.multipartFieldsMax,
  fieldNameSize: 64,
  fieldSize: LIMITS.multipartFieldBytesMax,
  files: LIMITS.linkFormFilesMax,
  fileSize: LIMITS.fileBytesMax,
  parts: LIMITS.linkFormFilesMax + LIMITS.multipartFieldsMax,
  headerPairs: 16,
};

/** Who may not see what is there is not told by another name that a name was taken. */
function told({ link }: Visit, asked: string, stored: string): string {
  return link.mode === 'upload' ? asked : stored;
}

function answerNames(request: FastifyRequest, reply: FastifyReply, names: readonly string[]): FastifyReply {
  reply.code(201);
  if (wants(request) === 'json')
    return sendText(request, reply.type('application/json; charset=utf-8'), `${visibleJson({ received: names })}\n`);
  return sendText(request, reply.type('text/plain; charset=utf-8'), names.map((name) => `received ${visible(name)}\n`).join(''));
}

async function unlock(request: FastifyRequest, reply: FastifyReply, { visits }: VisitUploadRouteDeps): Promise<FastifyReply> {
  const password = new URLSearchParams(String(request.body ?? '')).get('password') ?? '';
  const { token, pass } = await visits.passFor(request, password);
  const attributes = `Path=${LINK_PREFIX}/${token}; Max-Age=${LIMITS.linkPassMs / 1000}; HttpOnly; SameSite=Strict${request.protocol === 'https' ? '; Secure' : ''}`;
  return reply.header('set-cookie', `${PASS_COOKIE}=${pass}; ${attributes}`).redirect(`${LINK_PREFIX}/${token}/`, 303);
}
