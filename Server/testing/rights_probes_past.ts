import assert from 'node:assert/strict';
import { ROUTES } from '../../Models/routes.ts';
import { sha256 } from '../../Storage/verified_chunk.ts';
import { EDITOR, isStillIn, NONE, role } from './rights_model.ts';
import {
  ask,
  changes,
  DEVICE,
  get,
  isFile,
  mayBeRemembered,
  type Probe,
  post,
  principalOf,
  query,
  seen,
  strangeNames,
  type Target,
  word,
} from './rights_probe.ts';
import type { User } from './server_fixture.ts';

/** What is taken back in a preview: looking at all there ever was takes long. */
const UNDONE_MS = 300;

const known = new Map<string, string>();
function digestOf(text: string): string {
  const digest = known.get(text) ?? sha256(Buffer.from(text)).toString('hex');
  known.set(text, digest);
  return digest;
}

/** The version of a file as somebody has it who sees it. */
async function versionOf({ server, users, node }: Target): Promise<number> {
  const somebody = users.find(({ name }) => role(name, node) !== NONE) as User;
  const [entry] = await server.metadata.stat(principalOf(somebody), [`@${node.id}`]);
  return entry?.version ?? 0;
}

/** A plan as it would be for whoever may make it: nothing in it is trusted. */
const planOf = ({ path }: Target): string =>
  Buffer.from(JSON.stringify([{ kind: 'rewind', path, to: { timeMs: Date.now() } }, '0'.repeat(64)])).toString('base64url');
const rewindable = (target: Target, allowed: string): unknown =>
  seen(target, isFile(target.node) ? 'not_a_folder' : target.role < EDITOR ? 'forbidden' : allowed);

/** Of what was. */
export const PAST_PROBES: readonly Probe[] = [
  {
    route: `GET ${ROUTES.versions}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      return [word(await get(target, ROUTES.versions)), seen(target, 'ok')];
    },
  },
  {
    route: `GET ${ROUTES.deeds}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      return [word(await get(target, ROUTES.deeds)), seen(target, 'ok')];
    },
  },
  {
    route: `GET ${ROUTES.changes}`,
    async run(target) {
      const { rights, user, memory } = target;
      const after: Record<string, string> = memory.cursor === null ? {} : { after: memory.cursor };
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.changes}?${new URLSearchParams({ ...after, limit: '5000' })}` });
      assert.equal(answer.status, 200, answer.bytes.toString());
      const page = answer.json() as { changes: { path: string; from: string | null; digest: string | null }[]; cursor: string };
      memory.cursor = page.cursor;
      const readable = rights.readable(user.name);
      const digests = new Set(Array.from(readable, digestOf));
      const strange = page.changes.filter(({ path, from, digest }) => {
        return strangeNames(memory, [path, from]).length > 0 || (digest !== null && !digests.has(digest));
      });
      return [strange, []];
    },
  },
  {
    route: `GET ${ROUTES.trash}`,
    async run(target) {
      const { rights, user, node, memory, path } = target;
      const items: { id: number; path: string }[] = (await get(target, ROUTES.trash)).json().items ?? [];
      // A path of others may be where the user once had something that is in the trash.
      if (target.role === NONE && !memory.paths.has(path)) return [items, []];
      const told = rights.trash.filter((gone) => gone.folder === node && gone.toldTo.has(user.name) && isStillIn(gone));
      const missing = told.filter(({ node: { id } }) => !items.some((item) => item.id === id));
      return [
        [
          missing.map((gone) => gone.node.name),
          strangeNames(
            memory,
            items.map(({ path }) => path),
          ),
        ],
        [[], []],
      ];
    },
  },
  {
    route: `POST ${ROUTES.restore}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      const body = { path: target.path, version: await versionOf(target) };
      return [word(await post(target, ROUTES.restore, body)), changes(target, 'ok')];
    },
  },
  {
    route: `GET ${ROUTES.diff}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      const from = String(await versionOf(target));
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.diff}?${query(target.path, { from, to: from })}` });
      return [word(answer), seen(target, 'ok')];
    },
  },
  {
    route: `POST ${ROUTES.pins}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      const body = { path: target.path, version: await versionOf(target) };
      return [word(await post(target, ROUTES.pins, body)), changes(target, 'ok')];
    },
  },
  {
    route: `DELETE ${ROUTES.pins}`,
    async run(target) {
      if (!isFile(target.node) || mayBeRemembered(target)) return null;
      const version = String(await versionOf(target));
      const answer = await ask(target, { method: 'DELETE', url: `${ROUTES.pins}?${query(target.path, { version })}` });
      return [word(answer), changes(target, 'ok')];
    },
  },
  {
    route: `POST ${ROUTES.rewind}`,
    async run(target) {
      const answer = await post(target, ROUTES.rewind, { path: target.path, time: new Date().toISOString() });
      return [word(answer), rewindable(target, 'ok')];
    },
  },
  {
    route: `GET ${ROUTES.plans}`,
    async run(target) {
      const answer = await ask(target, { method: 'GET', url: `${ROUTES.plans}?${new URLSearchParams({ plan: planOf(target) })}` });
      return [word(answer), rewindable(target, 'version_stale')];
    },
  },
  {
    route: `POST ${ROUTES.plans}`,
    run: async (target) => [word(await post(target, ROUTES.plans, { plan: planOf(target) })), rewindable(target, 'version_stale')],
  },
  {
    route: `POST ${ROUTES.undo}`,
    async run(target) {
      const { rights, node, memory } = target;
      const [other] = rights.users.filter((name) => role(name, node) !== NONE);
      const since = new Date(Date.now() - UNDONE_MS).toISOString();
      const answer = await post(target, ROUTES.undo, { user: other, device: DEVICE, since });
      assert.equal(answer.status, 200, answer.bytes.toString());
      const { steps, conflicts } = answer.json() as { steps: { path: string; from: string | null }[]; conflicts: { path: string }[] };
      const paths = [...steps.flatMap(({ path, from }) => [path, from]), ...conflicts.map(({ path }) => path)];
      return [strangeNames(memory, paths), []];
    },
  },
];
