import { randomBytes } from 'node:crypto';
import { ROOT } from '../../Client/sync/core/tree.ts';
import type { SyncIndex } from '../../Client/sync/index/sync_index.ts';
import type { FeedPage, PushItem, PushOutcome, Remote } from '../../Client/sync/remote/remote.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { boundTo, type EngineMutant, type Try } from './engine_mutants.ts';
import { generate, sharingSeed } from './generate.ts';
import { runHistory } from './run_history.ts';
import { SHARED } from './sharing_histories.ts';
import { principalOf } from './sim_server.ts';

const RANDOM_SEEDS = 100;

const told: Try[] = Object.values(SHARED).map(
  (history): Try =>
    async (folder, plants) =>
      (await runHistory(history, folder, plants)).violation,
);
const random = Array.from(
  { length: RANDOM_SEEDS },
  (_, nth): Try =>
    async (folder, plants) =>
      (await runHistory(generate(sharingSeed(nth)), folder, plants)).violation,
);
const tries = [...told, ...random];

/** @param change of an outcome; `operation`: its path or what it moves, as sent */
function withOutcomes(remote: Remote, change: (outcome: PushOutcome, item: PushItem) => PushOutcome): Remote {
  return {
    ...remote,
    push(items, onDone, cursor) {
      const sent = new Map<number, PushItem>();
      const noted = [...items].map((item) => {
        sent.set(item.key, item);
        return item;
      });
      return remote.push(
        noted,
        (key, outcome) => {
          const item = sent.get(key);
          onDone(key, item === undefined ? outcome : change(outcome, item));
        },
        cursor,
      );
    },
  };
}

function withPages(remote: Remote, change: (page: FeedPage) => FeedPage): Remote {
  return { ...remote, changes: (root, cursor, onPage) => remote.changes(root, cursor, (page) => onPage(change(page))) };
}

const isForbidden = ({ result }: PushOutcome): boolean => result.status === 'refused' && result.code === 'forbidden';
const pathOf = (item: PushItem): string => {
  if ('upload' in item) return item.upload.path;
  return 'path' in item.operation ? item.operation.path : item.operation.from;
};

/** As if the answer to who may do something was remembered. */
function askingOnce(remote: Remote): Remote {
  const refused = new Set<string>();
  const noting = withOutcomes(remote, (outcome, item) => {
    if (isForbidden(outcome)) refused.add(pathOf(item));
    return outcome;
  });
  const result = { status: 'refused', code: 'forbidden', message: 'as before' } as const;
  return {
    ...noting,
    push(items, onDone, cursor) {
      const asked: PushItem[] = [];
      for (const item of items) {
        if (refused.has(pathOf(item))) onDone(item.key, { result, snapshot: null });
        else asked.push(item);
      }
      return noting.push(asked, onDone, cursor);
    },
  };
}

/** As if what is deleted had something in it that is not synced. */
function deletingNothing(remote: Remote): Remote {
  const result = { status: 'refused', code: 'not_empty', message: 'something is in it' } as const;
  return {
    ...remote,
    push(items, onDone, cursor) {
      const others: PushItem[] = [];
      for (const item of items) {
        if ('operation' in item && item.operation.kind === 'delete') onDone(item.key, { result, snapshot: null });
        else others.push(item);
      }
      return remote.push(others, onDone, cursor);
    },
  };
}

/** Folders that came as something to be listed: shared ones are. */
function keepingShared(remote: Remote): Remote {
  const shared = new Set<number>();
  return withPages(remote, (page) => {
    for (const { nodeId, unlisted } of page.present) if (unlisted) shared.add(nodeId);
    return { ...page, gone: page.gone.filter((node) => !shared.has(node)) };
  });
}

function ignoringOldContent(remote: Remote): Remote {
  const seen = new Map<number, Set<string>>();
  return withPages(remote, (page) => ({
    ...page,
    present: page.present.filter(({ nodeId, digest, unlisted }) => {
      const contents = seen.get(nodeId) ?? new Set();
      seen.set(nodeId, contents);
      const content = digest?.toString('hex') ?? '';
      const isOld = content !== '' && contents.has(content) && !unlisted && contents.size > 1;
      contents.add(content);
      return !isOld;
    }),
  }));
}

/** What is not there any more on the server counts as a person's own. */
function keepingWhatIsGone(index: SyncIndex): SyncIndex {
  const keep = (id: number): void => {
    for (const child of index.ancestor.children(id)) keep(child.id);
    if (id !== ROOT && index.ancestor.get(id) !== undefined) index.disagree(id);
  };
  return {
    ...index,
    setRemoteGone(id) {
      index.setRemoteGone(id);
      keep(id);
    },
  };
}

/** Leaving a folder as if it was deleting it. */
function deletingWithLeave(metadata: Metadata): Metadata {
  const leave: Metadata['leave'] = async (principal, path) => {
    for await (const { entries } of metadata.readFolders(principal, [path])) {
      const deletes = entries.map(({ name }) => ({ kind: 'delete', path: `${path}/${name}`, base: 'any', onlyEmpty: false }) as const);
      await metadata.commit(principal, { id: randomBytes(16), firstOperation: 0, resumed: false }, [], deletes);
    }
    return metadata.leave(principal, path);
  };
  return { ...boundTo(metadata), leave };
}

const READS: ReadonlySet<string> = new Set(['feed', 'locate', 'have', 'manifests', 'olderChunks', 'stat']);

/** Reads as the first user, whoever asks. */
function readingAsOwner(metadata: Metadata): Metadata {
  const owner = (who: Principal): Principal => ({ ...principalOf(who.userName.replace(/guest$/, ''), 0), deviceId: who.deviceId });
  const bound = boundTo(metadata);
  return new Proxy(bound, {
    get(target, name) {
      const made: unknown = Reflect.get(target, name, target);
      if (typeof made !== 'function' || !READS.has(String(name))) return made;
      return (who: Principal, ...rest: unknown[]) => Reflect.apply(made, target, [owner(who), ...rest]);
    },
  });
}

/** Each is to be found where two users share. */
export const SHARING_MUTANTS: readonly EngineMutant[] = [
  {
    name: 'S1',
    mistake: 'what the server does not allow counts as done',
    plants: {
      device: {
        remote: (remote) =>
          withOutcomes(remote, (outcome, item) => {
            if (!isForbidden(outcome)) return outcome;
            const node = Number(/^@(\d+)$/.exec(pathOf(item))?.[1] ?? 1_000_000_000);
            return { ...outcome, result: { status: 'done', nodeId: node, version: 1 } };
          }),
      },
    },
    tries,
  },
  {
    name: 'S2',
    mistake: 'what the server does not allow is no reason to undo it',
    plants: {
      device: {
        remote: (remote) =>
          withOutcomes(remote, (outcome) =>
            isForbidden(outcome) ? { ...outcome, result: { status: 'refused', code: 'internal', message: 'refused' } } : outcome,
          ),
      },
    },
    tries,
  },
  { name: 'S3', mistake: 'who was refused once does not ask again', plants: { device: { remote: askingOnce } }, tries },
  { name: 'S4', mistake: 'a shared folder that is taken away stays known', plants: { device: { remote: keepingShared } }, tries },
  { name: 'S5', mistake: 'what is shared no more becomes one’s own', plants: { device: { index: keepingWhatIsGone } }, tries },
  { name: 'S6', mistake: 'a listing only adds', plants: { device: { index: (index) => ({ ...index, untold: () => [] }) } }, tries },
  {
    name: 'S7',
    mistake: 'content that a file had before is nothing new',
    plants: { device: { remote: ignoringOldContent } },
    tries,
  },
  {
    name: 'S8',
    mistake: 'what moved to another space is taken for what it was',
    plants: { device: { index: (index) => ({ ...index, renewed: () => undefined }) } },
    tries,
  },
  { name: 'S9', mistake: 'to leave is to delete', plants: { server: deletingWithLeave }, tries },
  { name: 'S10', mistake: 'everybody is told what its owner can read', plants: { server: readingAsOwner }, tries },
  { name: 'S11', mistake: 'what is deleted is never empty', plants: { device: { remote: deletingNothing } }, tries: told },
];
