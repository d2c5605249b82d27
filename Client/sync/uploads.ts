import { AppError, assertNever, type ErrorCode } from '../../Models/errors.ts';
import { foldName } from '../../Models/names.ts';
import type { OperationResult } from '../../Models/operations.ts';
import { mtimeUs } from '../transfer/local_files.ts';
import type { Action } from './core/plan.ts';
import { type NodeId, ROOT } from './core/tree.ts';
import type { LocalNode, ServerNode } from './index/sync_index.ts';
import type { Reason } from './reasons.ts';
import type { Refusals } from './refusals.ts';
import type { PushItem, PushOutcome, Snapshot } from './remote/remote.ts';
import { expectedOf, localReason, type WorkScope } from './work_scope.ts';

/** Actions on the server, in the order in which they must arrive. */
export type RemoteAction = Extract<Action, { side: unknown }>;

const RECORDED_TOGETHER = 512;
const FEW = 64;
const NOTED_TOGETHER = 32;
const REFUSALS_MAX = 5;

/** Refused because something newer is there. */
const STALE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'version_stale',
  'already_exists',
  'not_found',
  'name_collides',
  'not_empty',
  'folder_into_itself',
  'not_a_folder',
  'not_a_file',
]);

/** Done also on a server without room for content. */
const NEEDS_NO_ROOM: ReadonlySet<RemoteAction['type']> = new Set(['move', 'delete'] as const);

const REFUSED: Readonly<Record<string, Reason>> = {
  forbidden: 'no_permission_remote',
  storage_full: 'over_quota',
  quota_exceeded: 'over_quota',
  type_refused: 'type_refused',
  too_large: 'too_large',
  name_invalid: 'name_not_there',
  path_invalid: 'name_not_there',
  name_collides: 'name_collides',
  not_empty: 'folder_not_empty',
  deletes_held: 'held_server',
  file_changed: 'still_changing',
};

/** One push stream for all of it. */
export class Uploads {
  readonly #scope: WorkScope;
  readonly #refusals: Refusals;
  readonly #making = new Map<NodeId, { parent: NodeId; name: string }>(); // folders that this stream makes
  readonly #sent = new Map<number, RemoteAction>();
  readonly #nodes = new Set<NodeId>();
  #notes: LocalNode[] = []; // of what is being sent
  #answered: { action: RemoteAction; outcome: PushOutcome }[] = [];
  #untold = false; // something was done there that the index does not show
  /** The server knows something newer: its feed must be read before the next plan. */
  stale = false;

  constructor(scope: WorkScope, refusals: Refusals) {
    this.#scope = scope;
    this.#refusals = refusals;
  }

  async run(actions: readonly RemoteAction[]): Promise<void> {
    try {
      await this.#push(actions);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'storage_full') throw error;
      const unanswered = this.#giveUpContent(error.message);
      await this.#push(actions.filter((action) => NEEDS_NO_ROOM.has(action.type) && unanswered(action)));
    }
  }

  async #push(actions: readonly RemoteAction[]): Promise<void> {
    if (actions.length === 0) return;
    const { index, remote } = this.#scope.deps;
    const cursor = index.setting('cursor') ?? null;
    let past: string | null = null;
    try {
      const onDone = (key: number, outcome: PushOutcome): void => {
        const action = this.#sent.get(key);
        if (action === undefined) return;
        this.#sent.delete(key);
        this.#scope.deps.underWay.delete(action.id);
        this.#answered.push({ action, outcome });
        if (this.#answered.length >= RECORDED_TOGETHER) this.#record();
      };
      past = await remote.push(this.#items(actions), onDone, cursor);
    } finally {
      this.#record(); // what was answered is done, also when the rest was not
    }
    if (past !== null) this.#moveCursor(past);
  }

  /** What was done here need not be told again; unless the index does not show all of it, or the server refused what it should not have. */
  #moveCursor(past: string): void {
    const { index } = this.#scope.deps;
    this.stale ||= this.#untold;
    if (!this.stale) index.observe(() => index.setSetting('cursor', past));
  }

  /** There is no room for what was being sent; what needs none goes on without it. @returns whether an action was not answered */
  #giveUpContent(message: string): (action: RemoteAction) => boolean {
    const { deps } = this.#scope;
    for (const { id, type } of this.#sent.values()) {
      if (type === 'put' || type === 'replace') deps.onProblem(id, this.#scope.placeOf(id), 'over_quota', message);
      this.#nodes.delete(id);
      this.#making.delete(id);
    }
    this.#sent.clear();
    const answered = new Set(this.#nodes);
    return ({ id }) => !answered.has(id);
  }

  /** Noted before it goes out; of many files some together, so that an interruption can make a conflict of a few at worst. */
  #note(here: LocalNode, { digest, stat }: Snapshot): void {
    const seen = this.#scope.seen(stat);
    this.#notes.push({ ...here, content: digest.toString('hex'), mtimeUs: mtimeUs(stat), seen });
    if (this.#notes.length >= (this.#nodes.size > FEW ? NOTED_TOGETHER : 1)) this.#writeNotes();
  }

  #writeNotes(): void {
    const { index } = this.#scope.deps;
    const notes = this.#notes;
    this.#notes = [];
    index.observe(() => {
      for (const note of notes) index.noteSent(note);
    });
  }

  #record(): void {
    const answered = this.#answered;
    this.#answered = [];
    if (this.#notes.length > 0) this.#writeNotes();
    this.#scope.deps.index.observe(() => {
      for (const { action, outcome } of answered) this.#take(action, outcome);
    });
  }

  /** One operation for each node: the version that a second one would be based on is not known before the answer. The next plan has it again. */
  *#items(actions: readonly RemoteAction[]): Generator<PushItem> {
    for (const [key, action] of actions.entries()) {
      const item = this.#nodes.has(action.id) ? null : this.#item(key, action);
      if (item === null) continue;
      this.#nodes.add(action.id);
      this.#sent.set(key, action);
      this.#scope.deps.underWay.set(action.id, 'sending');
      yield item;
    }
  }

  #item(key: number, action: RemoteAction): PushItem | null {
    const { index } = this.#scope.deps;
    const here = index.local.get(action.id);
    const there = index.remote.get(action.id);
    switch (action.type) {
      case 'make': {
        const path = this.#place(action.parent, action.name);
        if (here === undefined || path === null) return null;
        if (this.#isTaken(action)) {
          this.#refused(action, { status: 'refused', code: 'already_exists', message: 'another folder has this place on the server' });
          return null;
        }
        this.#making.set(action.id, action);
        return { key, operation: { kind: 'mkdir', path, existingOk: true, mode: here.mode, mtimeUs: here.mtimeUs } };
      }
      case 'put': {
        const path = this.#place(action.parent, action.name);
        return here === undefined || path === null ? null : this.#content(key, here, path, undefined);
      }
      case 'replace':
        return here === undefined || there === undefined ? null : this.#content(key, here, `@${there.node}`, there);
      case 'touch':
        if (here === undefined || there === undefined) return null;
        if (here.kind !== 'folder') return this.#content(key, here, `@${there.node}`, there);
        return { key, operation: { kind: 'mkdir', path: `@${there.node}`, existingOk: true, mode: here.mode, mtimeUs: here.mtimeUs } };
      case 'move': {
        const to = this.#place(action.parent, action.name);
        if (there === undefined || to === null) return null;
        return { key, operation: { kind: 'move', from: `@${there.node}`, to, base: there.version } };
      }
      case 'delete':
        if (there === undefined) return null;
        return { key, operation: { kind: 'delete', path: `@${there.node}`, base: there.version, onlyEmpty: true } };
      default:
        return assertNever(action);
    }
  }

  #content(key: number, here: LocalNode, path: string, there: ServerNode | undefined): PushItem | null {
    const { disk, index } = this.#scope.deps;
    const base = there === undefined ? 'absent' : there.version;
    if (here.kind === 'symlink') {
      return { key, operation: { kind: 'symlink', path, target: here.content ?? '', mtimeUs: here.mtimeUs, base } };
    }
    const local = this.#scope.path(here.id);
    if (local === null) return null;
    const previous = there === undefined || there.kind !== 'file' ? null : previousOf(there);
    const known = (digest: Buffer): boolean => index.hasContent(digest.toString('hex'));
    return {
      key,
      upload: {
        path,
        base,
        expected: expectedOf(here),
        open: () => disk.open(local),
        mode: here.mode,
        previous,
        known,
        onSend: (snapshot) => this.#note(here, snapshot),
      },
    };
  }

  /**
   * Another folder is there, and what takes it away is not answered yet: if that is refused, what is made would be the other one, and all that is
   * put into it would go there.
   */
  #isTaken({ id, parent, name }: { readonly id: NodeId; readonly parent: NodeId; readonly name: string }): boolean {
    return this.#scope.deps.index.remote.named(parent, foldName(name)).some((other) => other.id !== id);
  }

  /** Begins at the nearest folder that the server has already. */
  #place(parent: NodeId, name: string): string | null {
    const { index } = this.#scope.deps;
    const making = this.#making.get(parent);
    if (making !== undefined) {
      const above = this.#place(making.parent, making.name);
      return above === null ? null : `${above}/${name}`;
    }
    const folder = parent === ROOT ? index.ancestor.get(ROOT) : index.remote.get(parent);
    return folder === undefined ? null : `@${folder.node}/${name}`;
  }

  #take(action: RemoteAction, { result, snapshot }: PushOutcome): void {
    this.#scope.deps.index.endSent(action.id);
    if (result.status === 'refused') {
      this.#refused(action, result);
      return;
    }
    const { index } = this.#scope.deps;
    const { id } = action;
    const there = index.remote.get(id);
    const before = action.type === 'delete' ? this.#scope.placeOf(id) : '';
    const server = { node: result.nodeId, version: result.version };
    switch (action.type) {
      case 'delete':
        index.setRemote(id, null);
        break;
      case 'move':
        if (there === undefined) this.#untold = true;
        else if (there.node !== server.node) this.#renewed(id);
        else this.#recordMoved({ ...there, parent: action.parent, name: action.name, version: server.version });
        break;
      case 'make':
      case 'put':
        this.#recordSent(id, action, server, snapshot);
        break;
      case 'replace':
      case 'touch':
        if (there === undefined) this.#untold = true;
        else this.#recordSent(id, there, server, snapshot);
        break;
      default:
        assertNever(action);
    }
    if (action.type === 'delete') index.agree(id);
    const path = this.#scope.path(id) ?? before;
    this.#scope.tell('up', action.type, path, result.status === 'done' ? (snapshot?.size ?? 0) : 0);
  }

  /** It went from one space to another: what it is called there by now the feed tells. */
  #renewed(id: NodeId): void {
    this.#scope.deps.index.renewed(id);
    this.stale = true;
  }

  /** Its place is agreed on also while its content here is not known, or another one: whoever moves it back has moved it again. */
  #recordMoved(there: ServerNode): void {
    const { index } = this.#scope.deps;
    const { id, parent, name } = there;
    const here = index.local.get(id);
    const agreed = index.ancestor.get(id);
    index.setRemote(id, there);
    if (index.agree(id) || agreed === undefined || here === undefined || here.parent !== parent || here.name !== name) return;
    if (there.content === agreed.content && there.kind === agreed.kind) index.settleBefore({ ...there, seen: agreed.seen });
  }

  #recordSent(
    id: NodeId,
    { parent, name }: { parent: NodeId; name: string },
    server: { node: number; version: number },
    snapshot: PushOutcome['snapshot'],
  ): void {
    const { index } = this.#scope.deps;
    const seen = index.local.get(id);
    if (seen === undefined) {
      this.#untold = true;
      return;
    }
    // what was read and sent is what is agreed: not what may be there by now
    const here: LocalNode =
      snapshot === null
        ? seen
        : {
            ...seen,
            content: snapshot.digest.toString('hex'),
            mtimeUs: mtimeUs(snapshot.stat),
            seen: this.#scope.seenAgain(snapshot.stat, seen),
          };
    const there = { ...server, size: snapshot?.size ?? 0, chunkCount: snapshot?.chunkCount ?? 0 };
    if (here.parent === parent && here.name === name && here.content !== null) index.settle({ ...here, ...there });
    else {
      const { kind, content, mode, mtimeUs } = here;
      index.setLocal(id, here);
      index.setRemote(id, { id, parent, name, kind, content, mode, mtimeUs, ...there });
    }
  }

  #refused({ id }: RemoteAction, { code, message }: OperationResult & { status: 'refused' }): void {
    const path = this.#scope.placeOf(id);
    const { stale, forbidden } = this.#refusals;
    if (code === 'forbidden' && !forbidden.delete(id)) {
      forbidden.add(id);
      this.stale = true; // perhaps it is allowed by now, or not there any more
      if (this.#scope.deps.index.ancestor.get(id) === undefined) return;
    } else if (STALE.has(code)) {
      const count = (stale.get(id) ?? 0) + 1;
      stale.set(id, count);
      this.stale = true;
      if (count < REFUSALS_MAX) return;
      stale.delete(id); // what the feed tells does not explain it: tried again later
    }
    if (code === 'file_changed') this.#scope.changed(path);
    const reason = code === 'local_io' ? localReason(message) : (REFUSED[code] ?? 'remote_error');
    this.#scope.deps.onProblem(id, path, reason, message);
  }
}

function previousOf({ node, version, chunkCount, content }: ServerNode): {
  nodeId: number;
  version: number;
  chunkCount: number;
  digest: Buffer;
} {
  return { nodeId: node, version, chunkCount, digest: Buffer.from(content ?? '', 'hex') };
}
