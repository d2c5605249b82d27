import assert from 'node:assert/strict';
import type { InjectOptions } from 'fastify';
import { FRAME, FRAME_TYPE, type Frame, FrameParser, FrameWriter, joinBytes, payloadOf } from '../../Models/frames.ts';
import { type OperationFrame, readResult, writeOperation } from '../../Models/operation_frames.ts';
import { ROUTES } from '../../Models/routes.ts';
import { readFeedEnd, readFolder, readNodes, readPaths } from '../../Models/tree_frames.ts';
import { sha256 } from '../../Storage/verified_chunk.ts';
import { EDITOR, folderAround, type ModelNode, NONE, OWNER, pathOf, type Rights, ROLES, role } from './rights_model.ts';
import type { Answer, ServerFixture, User } from './server_fixture.ts';

/** What the principal has seen so far: names of nodes, and the change feed up to a cursor. */
export type Memory = { readonly names: Set<string>; cursor: string | null };

/** What a probe is about: a principal, a node that may be theirs to see or not, and a path that leads to it or to nothing. */
export type Target = {
  readonly server: ServerFixture;
  readonly rights: Rights;
  readonly user: User;
  readonly node: ModelNode;
  readonly path: string;
  /** Of the user at the node; NONE: it must be as if it did not exist. */
  readonly role: number;
  readonly memory: Memory;
};
/** What the answer must be, and what it is. */
export type Probe = { readonly route: string; run(target: Target): Promise<readonly [actual: unknown, expected: unknown]> };

export const ask = ({ server, user }: Pick<Target, 'server' | 'user'>, options: InjectOptions): Promise<Answer> =>
  server.ask(user, options);
export const word = (answer: Answer): string => (answer.status < 300 ? 'ok' : (answer.json().code as string));
const query = (path: string, more: Record<string, string> = {}): string => new URLSearchParams({ path, ...more }).toString();
const get = (target: Target, route: string, method: 'GET' | 'HEAD' = 'GET') =>
  ask(target, { method, url: `${route}?${query(target.path)}` });
const post = (target: Pick<Target, 'server' | 'user'>, url: string, payload: object) => ask(target, { method: 'POST', url, payload });

const isFile = ({ text }: ModelNode): boolean => text !== null;
const seen = (target: Target, expected: unknown): unknown => (target.role === NONE ? 'not_found' : expected);

function framesOf(answer: Answer): Frame[] {
  const frames: Frame[] = [];
  const parser = new FrameParser();
  parser.push(new Uint8Array(answer.bytes), (frame) => frames.push(frame));
  return frames;
}
const tree = async (target: Target, request: object): Promise<Frame[] | string> => {
  const answer = await post(target, ROUTES.tree, request);
  if (answer.status !== 200) return word(answer);
  const frames = framesOf(answer);
  return frames[0]?.type === FRAME.error ? 'not_found' : frames.filter(({ type }) => type !== FRAME.end);
};

const digests = (target: Target, route: string) =>
  ask(target, {
    method: 'POST',
    url: route,
    headers: { 'content-type': 'application/octet-stream' },
    payload: sha256(Buffer.from(target.node.text ?? '')),
  });

const END = new FrameWriter(8).begin(FRAME.end).finish().take();
async function pushed(target: Target, operation: OperationFrame): Promise<string> {
  const writer = new FrameWriter();
  writeOperation(writer, 0, operation);
  const payload = Buffer.from(joinBytes([writer.take(), END]));
  const answer = await ask(target, { method: 'POST', url: ROUTES.push, headers: { 'content-type': FRAME_TYPE }, payload });
  const frame = framesOf(answer).find(({ type }) => type === FRAME.result);
  assert.ok(frame, word(answer));
  const { result } = readResult(payloadOf(frame));
  return result.status === 'refused' ? result.code : result.status;
}

/** What an editor of the space may and others may not; refused for a reason of its own where it is allowed. */
const changes = ({ role: own }: Target, allowed: string): string => (own === NONE ? 'not_found' : own < EDITOR ? 'forbidden' : allowed);

/** The role in what the node is in where the user has it. */
function roleOutside({ user, node, role: own }: Target): number {
  return own === NONE ? NONE : role(user.name, folderAround(user.name, node));
}
const outside = (target: Target, allowed: string): string => changes({ ...target, role: roleOutside(target) }, allowed);

function membersOf({ rights, node }: Target): string[] {
  return rights.users.flatMap((name) => (role(name, node) === NONE ? [] : [`${name} ${ROLES[role(name, node)]}`])).sort();
}

const notOwner = (target: Target, allowed: string): string => {
  if (target.role === NONE || target.node.share === null) return 'not_found';
  return target.role < OWNER ? 'forbidden' : allowed;
};

export const PROBES: readonly Probe[] = [
  {
    route: 'GET entry',
    async run(target) {
      const answer = await get(target, ROUTES.entry);
      const shared = target.node.share === null ? null : { role: ROLES[target.role], owner: target.node.share.owner };
      return [answer.status === 200 ? { shared: answer.json().shared } : word(answer), seen(target, { shared })];
    },
  },
  {
    route: 'GET list',
    async run(target) {
      const answer = await get(target, ROUTES.list);
      const names =
        answer.status === 200 ? answer.json().entries.map(({ path }: { path: string }) => path.slice(path.lastIndexOf('/') + 1)) : null;
      if (target.role === NONE || isFile(target.node)) return [word(answer), seen(target, 'not_a_folder')];
      return [names?.sort(), [...target.rights.listed(target.user.name, target.node).keys()].sort()];
    },
  },
  {
    route: 'GET members',
    async run(target) {
      const answer = await get(target, ROUTES.members);
      if (answer.status !== 200) return [word(answer), seen(target, 'ok')];
      const members = answer.json().members.filter(({ state }: { state: string }) => state === 'member');
      return [members.map((one: { user: string; role: string }) => `${one.user} ${one.role}`).sort(), seen(target, membersOf(target))];
    },
  },
  {
    route: 'GET files',
    async run(target) {
      const answer = await get(target, ROUTES.files);
      return [answer.status === 200 ? answer.bytes.toString() : word(answer), seen(target, target.node.text ?? 'not_a_file')];
    },
  },
  {
    route: 'HEAD files',
    run: async (target) => [(await get(target, ROUTES.files, 'HEAD')).status, target.role === NONE ? 404 : isFile(target.node) ? 200 : 409],
  },
  {
    route: 'GET preview',
    async run(target) {
      const answer = await get(target, ROUTES.preview);
      return [answer.status === 200 ? answer.bytes.toString() : word(answer), seen(target, target.node.text ?? 'not_a_file')];
    },
  },
  {
    route: 'GET versions',
    async run(target) {
      if (!isFile(target.node) || (target.role === NONE && target.rights.mayRead(target.user.name, target.node.text as string)))
        return [null, null]; // what was there once may still be told of
      return [word(await get(target, ROUTES.versions)), seen(target, 'ok')];
    },
  },
  {
    route: 'GET deeds',
    async run(target) {
      if (!isFile(target.node) || (target.role === NONE && target.rights.mayRead(target.user.name, target.node.text as string)))
        return [null, null];
      return [word(await get(target, ROUTES.deeds)), seen(target, 'ok')];
    },
  },
  {
    route: 'GET search',
    async run(target) {
      const { node, user, path } = target;
      if (target.role !== NONE && !path.endsWith(`/${node.name}`)) return [null, null]; // a mount with a name of the user's own
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.search}?${new URLSearchParams({ text: node.name })}` });
      const paths: string[] = answer.json().entries.map((entry: { path: string }) => entry.path);
      return [paths, pathOf(user.name, node) === null ? [] : [path]];
    },
  },
  {
    route: 'GET changes',
    async run(target) {
      const { rights, user, memory } = target;
      const after: Record<string, string> = memory.cursor === null ? {} : { after: memory.cursor };
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.changes}?${new URLSearchParams({ ...after, limit: '5000' })}` });
      assert.equal(answer.status, 200, answer.bytes.toString());
      const page = answer.json() as { changes: { path: string; from: string | null; digest: string | null }[]; cursor: string };
      memory.cursor = page.cursor;
      const readable = rights.readable(user.name);
      const digests = new Set(Array.from(readable, (text) => sha256(Buffer.from(text)).toString('hex')));
      const strange = page.changes.filter(({ path, from, digest }) => {
        const names = `${path}/${from ?? ''}`.split('/').filter((name) => name !== '' && !memory.names.has(name));
        return names.length > 0 || (digest !== null && !digests.has(digest));
      });
      return [strange, []];
    },
  },
  {
    route: 'GET statistics',
    run: async (target) => [word(await get(target, ROUTES.statistics)), seen(target, isFile(target.node) ? 'not_a_folder' : 'ok')],
  },
  {
    route: 'POST tree stat',
    async run(target) {
      const frames = await tree(target, { stat: [target.path, `@${target.node.id}`] });
      assert.ok(typeof frames !== 'string');
      const entries = frames.flatMap((frame) => readFolder(payloadOf(frame)).entries.map((entry) => entry?.name ?? null));
      const name = target.role === NONE ? null : target.path.slice(target.path.lastIndexOf('/') + 1);
      return [entries, [name, name]];
    },
  },
  {
    route: 'POST tree list',
    async run(target) {
      const frames = await tree(target, { list: [target.path, `@${target.node.id}`] });
      assert.ok(typeof frames !== 'string');
      const names = frames.map((frame) =>
        readFolder(payloadOf(frame))
          .entries.map((entry) => entry?.name)
          .sort(),
      );
      const all = target.role === NONE || isFile(target.node) ? [] : [...target.rights.listed(target.user.name, target.node).keys()].sort();
      return [names, [all, all]];
    },
  },
  {
    route: 'POST tree walk',
    async run(target) {
      const frames = await tree(target, { walk: target.path });
      if (typeof frames === 'string') return [target.role === NONE || isFile(target.node), true];
      return [
        frames.flatMap((frame) => readPaths(payloadOf(frame)))[0],
        target.role === NONE || isFile(target.node) ? 'nothing' : target.path,
      ];
    },
  },
  {
    route: 'POST tree since',
    async run(target) {
      const frames = await tree(target, { since: { root: `@${target.node.id}`, cursor: null } });
      if (typeof frames === 'string') return [target.role === NONE || isFile(target.node), true];
      const told = frames.flatMap((frame) => (frame.type === FRAME.nodes ? readNodes(payloadOf(frame)).present : []));
      const last = frames.at(-1) as Frame;
      assert.equal(readFeedEnd(payloadOf(last)).rootId, target.node.id);
      return [told[0]?.nodeId, target.role === NONE || isFile(target.node) ? 'nothing' : target.node.id];
    },
  },
  {
    route: 'POST have',
    async run(target) {
      const answer = await digests(target, ROUTES.have);
      return [answer.bytes[0] === 1, target.rights.mayRead(target.user.name, target.node.text ?? '')];
    },
  },
  {
    route: 'POST pull',
    async run(target) {
      if (!isFile(target.node)) return [null, null];
      const answer = await digests(target, ROUTES.pull);
      return [answer.bytes.includes(target.node.text as string), target.rights.mayRead(target.user.name, target.node.text as string)];
    },
  },
  {
    route: 'POST push mkdir',
    run: async (target) => {
      const operation: OperationFrame = { kind: 'mkdir', path: `@${target.node.id}`, existingOk: true, mode: null, mtimeUs: null };
      if (isFile(target.node)) return [await pushed(target, operation), changes(target, 'not_a_folder')];
      const own = target.node.share !== null && target.role !== NONE ? 'unchanged' : changes(target, 'unchanged');
      return [await pushed(target, operation), own];
    },
  },
  {
    route: 'POST push delete',
    run: async (target) => {
      const operation: OperationFrame = { kind: 'delete', path: `@${target.node.id}`, base: 999_999_999, onlyEmpty: false };
      const isOwner = target.node.share?.owner === target.user.name;
      return [await pushed(target, operation), isOwner && target.role !== NONE ? 'version_stale' : outside(target, 'version_stale')];
    },
  },
  {
    route: 'DELETE entry',
    async run(target) {
      const isOwner = target.node.share?.owner === target.user.name;
      const answer = await ask(target, { method: 'DELETE', url: `${ROUTES.entry}?${query(target.path, { base: '999999999' })}` });
      return [word(answer), isOwner && target.role !== NONE ? 'version_stale' : outside(target, 'version_stale')];
    },
  },
  {
    route: 'POST move',
    run: async (target) => [word(await post(target, ROUTES.move, { from: target.path, to: target.path })), outside(target, 'ok')],
  },
  {
    route: 'POST copy',
    run: async (target) => [
      word(await post(target, ROUTES.copy, { from: target.path, to: target.path })),
      outside(target, 'already_exists'),
    ],
  },
  {
    route: 'POST members',
    run: async (target) => [
      word(await post(target, ROUTES.members, { path: target.path, user: 'erin', role: 'viewer' })),
      notOwner(target, 'user_unknown'),
    ],
  },
  {
    route: 'DELETE members',
    run: async (target) => [
      word(await ask(target, { method: 'DELETE', url: `${ROUTES.members}?${query(target.path, { user: 'erin' })}` })),
      notOwner(target, 'user_unknown'),
    ],
  },
  {
    route: 'POST invitations',
    async run(target) {
      if (target.role === OWNER && !isFile(target.node)) return [null, null]; // it would be made
      const answer = await post(target, ROUTES.invitations, { path: target.path, user: 'erin' });
      return [word(answer), seen(target, isFile(target.node) ? 'not_a_folder' : 'forbidden')];
    },
  },
  {
    route: 'POST leave',
    async run(target) {
      const { node, user, role: own } = target;
      if (own !== NONE && node.share !== null && node.share.owner !== user.name && node.share.grants.has(user.name)) return [null, null];
      const answer = await post(target, ROUTES.leave, { path: target.path });
      return [word(answer), own === NONE || node.share === null ? 'not_found' : 'forbidden'];
    },
  },
  {
    route: 'GET invitations',
    async run({ server, user, rights }) {
      const { received, sent } = (await ask({ server, user }, { method: 'GET', url: ROUTES.invitations })).json();
      const open = (all: { state: string; id: string }[]) =>
        all
          .filter(({ state }) => state === 'pending')
          .map(({ id }) => id)
          .sort();
      const mine: string[] = [];
      const made: string[] = [];
      for (const node of rights.shares())
        for (const [to, { id }] of node.share?.invited ?? []) {
          if (to === user.name) mine.push(id);
          if (role(user.name, node) >= OWNER) made.push(id);
        }
      return [
        [open(received), open(sent)],
        [mine.sort(), made.sort()],
      ];
    },
  },
  {
    route: 'POST accept and decline',
    async run({ server, user, rights }) {
      const foreign = rights
        .shares()
        .flatMap((node) =>
          Array.from(node.share?.invited ?? [], ([to, { id }]) => ({ to, id, mayTakeBack: role(user.name, node) >= OWNER })),
        );
      const one = foreign.find(({ to, mayTakeBack }) => to !== user.name && !mayTakeBack);
      if (one === undefined) return [null, null];
      const answers = [];
      for (const verb of ['accept', 'decline'])
        answers.push(word(await post({ server, user }, `${ROUTES.invitations}/${one.id}/${verb}`, {})));
      return [answers, ['not_found', 'not_found']];
    },
  },
];
