import { randomBytes } from 'node:crypto';
import type { InjectOptions } from 'fastify';
import { FRAME, FRAME_TYPE, FrameParser, FrameWriter, joinBytes, payloadOf } from '../../Models/frames.ts';
import { readResult, writeOperation } from '../../Models/operation_frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { sha256 } from '../../Storage/verified_chunk.ts';
import { uploadOf } from './form.ts';
import type { Answer } from './server_fixture.ts';

/** Who asks: members of a shared folder by their role, then somebody who has no part in it, and an administrator, who has none either. */
export const ASKERS = ['owner', 'editor', 'viewer', 'stranger', 'administrator'] as const;
export type Asker = (typeof ASKERS)[number];

/** What there is to ask for. Each who asks has a folder of their own in the shared one, with the same in it, so that nobody is in the way of another. */
export type Scene = {
  readonly asker: Asker;
  readonly folder: string;
  readonly file: string; // with two versions
  readonly content: string; // the newer one
  readonly version: number; // of it
  readonly gone: string; // was deleted
  readonly club: string; // another folder, shared alike, to leave
  readonly operation: string; // the owner's, who made the first version
  readonly plan: string; // the owner's, to take that back
  readonly link: string; // the owner's
  readonly webhook: string; // the owner's
  readonly publication: string; // the owner's, for nobody else
  readonly invitation: string; // to somebody else
};
/** The outcomes in the order of `ASKERS`: a status, for frames what is in them. */
type Row = readonly [outcomes: string, ask: (scene: Scene) => InjectOptions];

const get = (url: string, query: Record<string, string | number> = {}): InjectOptions => ({
  method: 'GET',
  url: `${url}?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`,
});
const remove = (url: string, query: Record<string, string | number> = {}): InjectOptions => ({ ...get(url, query), method: 'DELETE' });
const post = (url: string, payload: object): InjectOptions => ({ method: 'POST', url, payload });
const bytes = (url: string, type: string, payload: Buffer): InjectOptions => ({
  method: 'POST',
  url,
  headers: { 'content-type': type },
  payload,
});
const digestOf = (content: string): Buffer => sha256(Buffer.from(content));
const SOON = new Date(Date.now() + 60_000).toISOString();

function pushOf(path: string): Buffer {
  const writer = new FrameWriter();
  writeOperation(writer, 0, { kind: 'mkdir', path, existingOk: true, mode: null, mtimeUs: null });
  return Buffer.from(joinBytes([writer.take(), new FrameWriter(8).begin(FRAME.end).finish().take()]));
}

const EVERYBODY = '200 200 200 200 200';
const READERS = '200 200 200 404 404';
const WRITERS = '200 200 403 404 404';
const OWNERS = '200 403 403 404 404';
const MAKER = '204 404 404 404 404';
const FOUND = 'found found found nothing nothing';
const NOBODY = '404 404 404 404 404';

/**
 * Every route that needs a ticket, and who may use it. Who has no part in a folder writes at the same path in their own home: what they do there is theirs,
 * and the test looks whether the folder has changed.
 */
export const RIGHTS: Readonly<Record<string, Row>> = {
  'GET /v1/whoami': [EVERYBODY, () => get(ROUTES.whoami)],
  'GET /v1/ping': [EVERYBODY, () => get(ROUTES.ping)],
  'GET /v1/usage': [EVERYBODY, () => get(ROUTES.usage)],
  'GET /v1/online': [EVERYBODY, () => get(ROUTES.online)],
  'GET /v1/changes': [EVERYBODY, () => get(ROUTES.changes)],
  'GET /v1/search': [EVERYBODY, () => get(ROUTES.search, { text: 'file' })],
  'GET /v1/devices': [EVERYBODY, () => get(ROUTES.devices)],
  'GET /v1/sessions': [EVERYBODY, () => get(ROUTES.sessions)],
  'GET /v1/profile': [EVERYBODY, () => get(ROUTES.profile)],
  'GET /v1/events': ['426 426 426 426 426', () => get(ROUTES.events)],
  'GET /v1/events/done': [EVERYBODY, () => get(ROUTES.eventsDone)],
  'POST /v1/events/done': ['400 400 400 400 400', () => post(ROUTES.eventsDone, { cursor: 'of nobody' })],
  'GET /v1/limits': ['403 403 403 403 200', () => get(ROUTES.limits)],
  'POST /v1/limits': ['403 403 403 403 200', () => post(ROUTES.limits, { user: 'somebody', quota: null })],

  'GET /v1/entry': [READERS, ({ file }) => get(ROUTES.entry, { path: file })],
  'GET /v1/list': [READERS, ({ folder }) => get(ROUTES.list, { path: folder })],
  'GET /v1/files': [READERS, ({ file }) => get(ROUTES.files, { path: file })],
  'HEAD /v1/files': [READERS, ({ file }) => ({ ...get(ROUTES.files, { path: file }), method: 'HEAD' })],
  'GET /v1/preview': [READERS, ({ file }) => get(ROUTES.preview, { path: file })],
  'GET /v1/statistics': [READERS, ({ folder }) => get(ROUTES.statistics, { path: folder })],
  'GET /v1/versions': [READERS, ({ file }) => get(ROUTES.versions, { path: file })],
  'GET /v1/deeds': [READERS, ({ file }) => get(ROUTES.deeds, { path: file })],
  'GET /v1/trash': [FOUND, ({ folder }) => get(ROUTES.trash, { path: folder })],
  'GET /v1/diff': [READERS, ({ file, version }) => get(ROUTES.diff, { path: file, from: version })],
  'GET /v1/members': [READERS, () => get(ROUTES.members, { path: '/team' })],
  'POST /v1/places': [FOUND, ({ file }) => post(ROUTES.places, { paths: [file] })],
  'POST /v1/tree': [FOUND, ({ file }) => post(ROUTES.tree, { manifests: [file] })],
  'POST /v1/have': [FOUND, ({ content }) => bytes(ROUTES.have, 'application/octet-stream', digestOf(content))],
  'POST /v1/pull': [FOUND, ({ content }) => bytes(ROUTES.pull, 'application/octet-stream', digestOf(content))],
  'POST /v1/signature': [FOUND, ({ content }) => bytes(ROUTES.signature, 'application/octet-stream', digestOf(content))],
  'GET /v1/links': [READERS, ({ file }) => get(ROUTES.links, { path: file })],
  'POST /v1/links': [READERS, ({ file }) => post(ROUTES.links, { path: file })],

  'POST /v1/undo': ['200 200 200 404 404', ({ operation }) => post(ROUTES.undo, { operation })],
  'GET /v1/plans': ['200 200 409 404 404', ({ plan }) => get(ROUTES.plans, { plan })],
  'POST /v1/plans': ['200 200 409 404 404', ({ plan }) => post(ROUTES.plans, { plan })],
  'POST /v1/copy': [WRITERS, ({ file, folder }) => post(ROUTES.copy, { from: file, to: `${folder}/copied` })],
  'POST /v1/restore': [WRITERS, ({ file, version }) => post(ROUTES.restore, { path: file, version })],
  'POST /v1/undelete': [WRITERS, ({ gone }) => post(ROUTES.undelete, { path: gone })],
  'POST /v1/pins': ['204 204 403 404 404', ({ file, version }) => post(ROUTES.pins, { path: file, version })],
  'DELETE /v1/pins': ['204 204 403 404 404', ({ file, version }) => remove(ROUTES.pins, { path: file, version })],
  'POST /v1/rewind': [WRITERS, ({ folder }) => post(ROUTES.rewind, { path: folder, time: SOON })],
  'POST /v1/approvals': [READERS, ({ folder }) => post(ROUTES.approvals, { path: folder })],
  'POST /v1/move': [WRITERS, ({ file, folder }) => post(ROUTES.move, { from: file, to: `${folder}/moved` })],
  'DELETE /v1/entry': [WRITERS, ({ folder }) => remove(ROUTES.entry, { path: folder })],

  'POST /v1/invitations': [OWNERS, () => post(ROUTES.invitations, { path: '/team', user: 'somebody' })],
  'POST /v1/members': [OWNERS, () => post(ROUTES.members, { path: '/team', user: 'editor', role: 'editor' })],
  'DELETE /v1/members': ['204 403 403 404 404', () => remove(ROUTES.members, { path: '/team', user: 'somebody' })],
  'POST /v1/leave': ['403 204 204 404 404', ({ club }) => post(ROUTES.leave, { path: club })],
  'GET /v1/invitations': [EVERYBODY, () => get(ROUTES.invitations)],
  'POST /v1/invitations/:id/accept': [NOBODY, ({ invitation }) => post(`${ROUTES.invitations}/${invitation}/accept`, {})],
  'POST /v1/invitations/:id/decline': [MAKER, ({ invitation }) => post(`${ROUTES.invitations}/${invitation}/decline`, {})],

  'GET /v1/links/:id/log': ['200 404 404 404 404', ({ link }) => get(`${ROUTES.links}/${link}/log`)],
  'DELETE /v1/links/:id': [MAKER, ({ link }) => remove(`${ROUTES.links}/${link}`)],
  'GET /v1/webhooks': [EVERYBODY, () => get(ROUTES.webhooks)],
  'POST /v1/webhooks': ['403 403 403 403 403', () => post(ROUTES.webhooks, { url: 'https://nowhere.example' })],
  'DELETE /v1/webhooks/:id': [MAKER, ({ webhook }) => remove(`${ROUTES.webhooks}/${webhook}`)],

  'GET /v1/publications': [EVERYBODY, () => get(ROUTES.publications)],
  'POST /v1/publications': [
    EVERYBODY,
    () => post(ROUTES.publications, { name: randomBytes(4).toString('hex'), audience: { kind: 'users', users: [] } }),
  ],
  'POST /v1/publications/:id/files': [
    MAKER,
    ({ publication }) => post(`${ROUTES.publications}/${publication}/files`, { files: [], gone: [] }),
  ],
  'GET /v1/published': [EVERYBODY, ({ publication }) => get(ROUTES.published, { id: publication })],
  'GET /v1/published-content': [NOBODY, ({ publication }) => get(ROUTES.publishedContent, { id: publication, path: 'f' })],
  'GET /v1/fetches': [EVERYBODY, () => get(ROUTES.fetches)],
  'POST /v1/relay': [NOBODY, () => bytes(`${ROUTES.relay}?id=${'a'.repeat(32)}`, 'application/octet-stream', Buffer.from('x'))],
  'DELETE /v1/publications/:id': [MAKER, ({ publication }) => remove(`${ROUTES.publications}/${publication}`)],

  'POST /v1/sync-states': [EVERYBODY, () => post(ROUTES.syncStates, { state: 'a'.repeat(32), counter: 1 })],
  'POST /v1/sync-reports': [
    EVERYBODY,
    () =>
      post(ROUTES.syncReports, {
        state: 'b'.repeat(32),
        counter: 1,
        mark: 'c'.repeat(32),
        root: 1,
        cursor: 'x',
        missing: null,
        waiting: 0,
        problems: 0,
        held: false,
      }),
  ],
  'GET /v1/sync-status': [EVERYBODY, () => get(ROUTES.syncStatus)],
  'GET /v1/arriving': [NOBODY, () => get(ROUTES.arriving, { id: 'a'.repeat(32) })],

  // at last, since who has no part in the folder has one of this name then
  'POST /v1/folders': ['200 200 403 200 200', ({ folder }) => post(ROUTES.folders, { path: `${folder}/made` })],
  'POST /v1/files': ['200 200 403 200 200', ({ folder }) => uploadOf(`${folder}/sent`, 'sent')],
  'POST /v1/push': ['done done forbidden done done', ({ folder }) => bytes(ROUTES.push, FRAME_TYPE, pushOf(`${folder}/pushed`))],
};

/** What became of it: the status, or what the frames or bytes say where every answer is a 200. */
export function outcomeOf(route: string, { status, bytes: body, json }: Answer, content: string): string {
  if (status !== 200) return String(status);
  if (route === 'POST /v1/places') return json().places[0] === null ? 'nothing' : 'found';
  if (route === 'POST /v1/have') return body[0] === 1 ? 'found' : 'nothing';
  if (route === 'POST /v1/pull') return body.includes(content) ? 'found' : 'nothing';
  if (route === 'GET /v1/trash') return json().items.length === 0 ? 'nothing' : 'found';
  if (route === 'POST /v1/tree') return body.includes(digestOf(content)) ? 'found' : 'nothing';
  if (!['POST /v1/push', 'POST /v1/signature'].includes(route)) return '200';
  let outcome = 'nothing';
  const parser = new FrameParser();
  parser.push(new Uint8Array(body), (frame) => {
    if (frame.type === FRAME.result) {
      const { result } = readResult(payloadOf(frame));
      outcome = result.status === 'refused' ? result.code : result.status;
    } else if (frame.type === FRAME.signature && frame.length > 0) outcome = 'found';
  });
  return outcome;
}
