import type { Found } from '../../Client/sync/testing/memory_disk_user.ts';
import { assertNever } from '../../Models/errors.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { FeedNode } from '../../Models/tree_frames.ts';
import { contentIdOf } from './content.ts';
import type { ShareAction } from './history.ts';
import { type ContentKey, contentKey, type Ledger, liveContents } from './ledger.ts';
import { REMOTE_ROOT, type SimDevice } from './sim_device.ts';
import { principalOf, type SimServer, ticketOf } from './sim_server.ts';

const WEB = 99; // the device from which people share
const OK = 300;

/** What people do to contents on purpose; all the rest is about who sees them. */
const MAY_REMOVE: ReadonlySet<ShareAction['kind']> = new Set(['remove', 'undelete', 'rewind', 'restore']);

export type SharingDeps = {
  readonly users: readonly string[]; // names
  readonly server: () => SimServer;
  readonly ledger: Ledger;
};

/**
 * Two users share folders: what they do on the server, and who could read what at which time. A device may get content that its user wrote, or
 * could read on the server while the pass in which it came was running, and no other.
 */
export class Sharing {
  readonly #deps: SharingDeps;
  readonly #keys = new Map<string, ContentKey>(); // by what the server calls the content
  readonly #ids = new Map<ContentKey, string>();
  readonly #written = new Map<string, Set<ContentKey>>(); // by user
  readonly #passes = new Map<SimDevice, { readonly had: ReadonlySet<ContentKey>; readonly readable: Set<string> }>();
  /** Taken by who may only read it: by a person all the same, should they get another role before their device asks. */
  readonly #doubtful = new Set<ContentKey>();
  readonly #invitations: { readonly id: string; readonly by: number }[] = [];
  readonly #marks = new Map<string, string>(); // by user: the cursor when all was quiet
  readonly #ever = new Map<SimDevice, Set<ContentKey>>(); // what a device had once: a power cut may bring back what was deleted
  readonly #home = new Map<string, Set<string>>(); // by user: what may be in their home
  #sampledAt = -1;

  constructor(deps: SharingDeps) {
    this.#deps = deps;
    for (const user of deps.users) {
      this.#written.set(user, new Set());
      this.#home.set(user, new Set());
    }
  }

  /** A person is about to do something on this device. @returns whether this content stays for others whatever they do to it here */
  stays(device: SimDevice): (key: ContentKey) => boolean {
    const held = this.#deps.server().books.onlyReadable(idOf(device.account));
    return (key) => {
      const stays = held.has(this.#ids.get(key) ?? '');
      if (stays) this.#doubtful.add(key);
      return stays;
    };
  }

  /** A person did something on this device: what is new there they wrote, and what is at these paths, or below, they may keep. */
  acted(
    device: SimDevice,
    { before, after, paths }: { before: readonly Found[]; after: readonly Found[]; paths: readonly string[] },
  ): void {
    const had = liveContents(before);
    for (const found of after) {
      const key = contentKey(found);
      if (key === null || had.has(key)) continue;
      this.#written.get(device.account)?.add(key);
      const id = found.stat.kind === 'symlink' ? key : contentIdOf(found.bytes);
      this.#keys.set(id, key);
      this.#ids.set(key, id);
    }
    for (const found of [...before, ...after]) {
      const id = this.#ids.get(contentKey(found) ?? '');
      if (id !== undefined && paths.some((path) => `${found.path}/`.startsWith(`${path}/`))) this.#home.get(device.account)?.add(id);
    }
  }

  begin(device: SimDevice): void {
    const had = contentsOf(device);
    const ever = this.#ever.get(device) ?? new Set();
    for (const key of had) ever.add(key);
    this.#ever.set(device, ever);
    this.#passes.set(device, { had, readable: new Set() });
    this.#sampledAt = -1;
    this.sample();
  }

  /** The server may have changed since the last time. */
  sample(): void {
    if (this.#passes.size === 0) return;
    const { books } = this.#deps.server();
    const at = books.changes();
    if (at === this.#sampledAt) return;
    this.#sampledAt = at;
    for (const [device, { readable }] of this.#passes) for (const id of books.readable(idOf(device.account))) readable.add(id);
  }

  /** @returns what came to the device although its user may not read it */
  end(device: SimDevice): string | null {
    this.sample();
    const pass = this.#passes.get(device);
    this.#passes.delete(device);
    if (pass === undefined) return null;
    const had = device.hasLostPower ? (this.#ever.get(device) ?? pass.had) : pass.had;
    for (const key of contentsOf(device)) {
      const id = this.#ids.get(key);
      if (id === undefined || key === 'empty' || had.has(key) || pass.readable.has(id) || this.#written.get(device.account)?.has(key))
        continue;
      return `${this.#deps.ledger.nameOf(key)} came to ${device.name}, whose user may not read it`;
    }
    return null;
  }

  /** Everybody has what there is: what was undone is settled, and there is a moment to go back to. */
  quiet(cursors: ReadonlyMap<string, string>): void {
    this.#doubtful.clear();
    for (const [user, cursor] of cursors) this.#marks.set(user, cursor);
    for (const user of this.#deps.users) this.#keepHome(user);
    this.mayKeepAll = false;
  }

  /** An index was lost: what somebody could read once may become theirs. Until all is quiet. */
  mayKeepAll = false;

  #keepHome(user: string): void {
    for (const id of this.#deps.server().books.atHome(idOf(user))) this.#home.get(user)?.add(id);
  }

  /** @returns what is in somebody's home that they neither wrote nor put there: it was shared with them, and is no more */
  stranded(): string | null {
    if (this.mayKeepAll) return null;
    for (const user of this.#deps.users) {
      for (const id of this.#deps.server().books.atHome(idOf(user))) {
        const key = this.#keys.get(id);
        if (key === undefined || key === 'empty' || this.#written.get(user)?.has(key) || this.#home.get(user)?.has(id)) continue;
        return `${this.#deps.ledger.nameOf(key)} became a file of ${user}, who did nothing to it`;
      }
    }
    return null;
  }

  /** @returns whether the server did it; text: what is wrong with what it did */
  async act(action: ShareAction): Promise<boolean | string> {
    const { books } = this.#deps.server();
    const users = this.#deps.users.map(idOf);
    const before = books.live(users);
    const isDone = await this.#carryOut(action);
    if (!isDone) return false;
    const after = books.live(users);
    for (const id of before) {
      if (after.has(id)) continue;
      if (!MAY_REMOVE.has(action.kind)) return `${action.kind} took ${this.#keys.get(id) ?? id} away`;
      this.#release(this.#keys.get(id));
    }
    if (MAY_REMOVE.has(action.kind)) this.#keepHome(this.#deps.users[action.by] ?? ''); // out of the past
    for (const key of this.#doubtful) this.#release(key);
    this.#doubtful.clear();
    this.sample();
    return true;
  }

  /** A person has deleted or replaced it: it is in the past of the server, and need not be elsewhere. */
  #release(key: ContentKey | undefined): void {
    if (key !== undefined) this.#deps.ledger.takenEverywhere(key);
  }

  async #carryOut(action: ShareAction): Promise<boolean> {
    const { by } = action;
    if (action.kind === 'accept') return this.#accept(by, action.at);
    if (action.kind === 'undelete') return this.#undelete(by, action.nth);
    const path = await this.#resolve(by, action.path);
    if (path === null) return false;
    const user = this.#deps.users[1 - by] ?? '';
    switch (action.kind) {
      case 'invite':
        return this.#invite(by, { path, user, role: action.role });
      case 'role':
        return this.#does(by, 'POST', ROUTES.members, { path, user, role: action.role });
      case 'uninvite':
        return this.#does(by, 'DELETE', `${ROUTES.members}?path=${encodeURIComponent(path)}&user=${user}`);
      case 'leave':
        return this.#does(by, 'POST', ROUTES.leave, { path });
      case 'move': {
        const to = await this.#resolve(by, action.to);
        return to !== null && this.#does(by, 'POST', ROUTES.move, { from: path, to });
      }
      case 'remove':
        return this.#does(by, 'DELETE', `${ROUTES.entry}?path=${encodeURIComponent(path)}`);
      case 'rewind':
        return this.#rewind(by, path);
      case 'restore':
        return this.#restore(by, path);
      default:
        return assertNever(action);
    }
  }

  async #invite(by: number, wanted: { path: string; user: string; role: string }): Promise<boolean> {
    const invited = await this.#ask<{ id: string }>(by, 'POST', ROUTES.invitations, wanted);
    if (invited !== null) this.#invitations.push({ id: invited.id, by });
    return invited !== null;
  }

  async #accept(by: number, at: string): Promise<boolean> {
    const open = this.#invitations.findLast((invitation) => invitation.by !== by);
    if (open === undefined) return false;
    const isDone = await this.#does(by, 'POST', `${ROUTES.invitations}/${open.id}/accept`, { at: `${REMOTE_ROOT}/${at}` });
    if (isDone) this.#invitations.splice(this.#invitations.indexOf(open), 1);
    return isDone;
  }

  /** The `nth` of what was deleted, newest first. */
  async #undelete(by: number, nth: number): Promise<boolean> {
    const trash = await this.#ask<{ items: { id: number }[] }>(by, 'GET', `${ROUTES.trash}?path=${encodeURIComponent(REMOTE_ROOT)}`);
    const item = trash?.items[nth % Math.max(trash.items.length, 1)];
    return item !== undefined && this.#does(by, 'POST', ROUTES.undelete, { id: item.id });
  }

  /** To when all was quiet the last time. */
  async #rewind(by: number, path: string): Promise<boolean> {
    const cursor = this.#marks.get(this.#deps.users[by] ?? '');
    if (cursor === undefined) return false;
    const planned = await this.#ask<{ plan: string }>(by, 'POST', ROUTES.rewind, { path, cursor });
    return planned !== null && this.#does(by, 'POST', ROUTES.plans, { plan: planned.plan });
  }

  /** To the version before. */
  async #restore(by: number, path: string): Promise<boolean> {
    const told = await this.#ask<{ versions: { version: number; current: boolean }[] }>(
      by,
      'GET',
      `${ROUTES.versions}?path=${encodeURIComponent(path)}`,
    );
    const older = told?.versions.find(({ current }) => !current);
    return older !== undefined && this.#does(by, 'POST', ROUTES.restore, { path, version: older.version });
  }

  /** `?share N`, `?folder N`, `?file N`: the one of these that comes there, of those that the user sees, then perhaps a path in it. */
  async #resolve(by: number, path: string): Promise<string | null> {
    const [, kind, nth = '0', rest = ''] = /^\?(share|folder|file) (\d+)(.*)$/.exec(path) ?? [];
    if (kind === undefined) return `${REMOTE_ROOT}/${path}`;
    const user = this.#deps.users[by] ?? '';
    const { nodes } = await this.tree(user);
    const shared = this.#deps.server().books.sharedRoots(idOf(user));
    const paths = pathsOf(nodes);
    const fit = nodes.filter((node) => {
      if (paths.get(node.nodeId) === '') return false;
      if (kind === 'share') return shared.has(node.nodeId);
      return node.kind === kind;
    });
    const chosen = fit[Number(nth) % Math.max(fit.length, 1)];
    return chosen === undefined ? null : `${REMOTE_ROOT}/${paths.get(chosen.nodeId)}${rest}`;
  }

  /** What a user has on the server, and the cursor behind that. */
  async tree(user: string): Promise<{ nodes: FeedNode[]; cursor: string }> {
    const parts = await Array.fromAsync(this.#deps.server().metadata.feed(principalOf(user, 0), { root: REMOTE_ROOT, cursor: null }));
    const end = parts.find((part) => 'cursor' in part);
    return { nodes: parts.flatMap((part) => ('present' in part ? part.present : [])), cursor: end?.cursor ?? '' };
  }

  async #does(by: number, method: 'POST' | 'DELETE', url: string, payload?: object): Promise<boolean> {
    return (await this.#ask(by, method, url, payload)) !== null;
  }

  /** @returns `null`: refused */
  async #ask<T>(by: number, method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object): Promise<T | null> {
    const authorization = `Bearer ${ticketOf(principalOf(this.#deps.users[by] ?? '', WEB))}`;
    const body = payload === undefined ? {} : { payload };
    const answer = await this.#deps.server().app.inject({ method, url, headers: { authorization }, ...body });
    if (answer.statusCode >= 500) throw new Error(`${method} ${url} ${JSON.stringify(payload)}: ${answer.statusCode} ${answer.body}`);
    if (answer.statusCode >= OK) return null;
    return (answer.body === '' ? {} : answer.json()) as T;
  }
}

function idOf(user: string): string {
  return principalOf(user, 0).userId;
}

/** Of each node, from the folder that is synced; the first one is that. */
export function pathsOf(nodes: readonly FeedNode[]): ReadonlyMap<number, string> {
  const paths = new Map<number, string>();
  for (const [at, { nodeId, parentId, name }] of nodes.entries()) {
    const folder = paths.get(parentId);
    paths.set(nodeId, at === 0 || folder === undefined ? '' : folder === '' ? name : `${folder}/${name}`);
  }
  return paths;
}

/** Also what was put away, or is being fetched. */
function contentsOf(device: SimDevice): Set<ContentKey> {
  return new Set(device.user.walk([]).flatMap((found) => contentKey(found) ?? []));
}
