import type { InjectOptions } from 'fastify';
import type { Principal } from '../../Storage/metadata.ts';
import { EDITOR, folderAround, type ModelNode, NONE, OWNER, type Rights, role } from './rights_model.ts';
import type { Answer, ServerFixture, User } from './server_fixture.ts';

/** All users of the walk have this one. */
export const DEVICE = '2'.repeat(32);

/** What the principal has seen so far: names of nodes, paths where there was something, and the change feed up to a cursor. */
export type Memory = { readonly names: Set<string>; readonly paths: Set<string>; cursor: string | null };

/** What a probe is about: a principal, a node that may be theirs to see or not, and a path that leads to it or to nothing. */
export type Target = {
  readonly server: ServerFixture;
  readonly rights: Rights;
  readonly users: readonly User[];
  readonly user: User;
  readonly node: ModelNode;
  readonly path: string;
  /** Of the user at the node; NONE: it must be as if it did not exist. */
  readonly role: number;
  readonly memory: Memory;
};

export type Probe = {
  /** As in the server's table of routes. */
  readonly route: string;
  /** Where one route has several. */
  readonly what?: string;
  /** `of` what can be seen, or of what cannot, only: the other is a step of the walk, or is no question. */
  readonly of?: 'shown' | 'hidden';
  /** What the answer is, and what it must be; nothing where this cannot be asked of this target. */
  run(target: Target): Promise<Outcome>;
};
export type Outcome = readonly [actual: unknown, expected: unknown] | null;

export const ask = ({ server, user }: Pick<Target, 'server' | 'user'>, options: InjectOptions): Promise<Answer> =>
  server.ask(user, options);
export const word = (answer: Answer): string => (answer.status < 300 ? 'ok' : (answer.json().code as string));
export const query = (path: string, more: Record<string, string> = {}): string => new URLSearchParams({ path, ...more }).toString();
export const get = (target: Target, route: string, method: 'GET' | 'HEAD' = 'GET') =>
  ask(target, { method, url: `${route}?${query(target.path)}` });
export const post = (target: Pick<Target, 'server' | 'user'>, url: string, payload: object) =>
  ask(target, { method: 'POST', url, payload });

export const isFile = ({ text }: ModelNode): boolean => text !== null;
export const seen = (target: Target, expected: unknown): unknown => (target.role === NONE ? 'not_found' : expected);

/** What was there once may still be told of: the past of such a file is not asked for. */
export const mayBeRemembered = ({ role: own, node, rights, user }: Target): boolean =>
  own === NONE && node.text !== null && rights.mayRead(user.name, node.text);

/** What an editor of the space may and others may not; refused for a reason of its own where it is allowed. */
export const changes = ({ role: own }: Target, allowed: string): string =>
  own === NONE ? 'not_found' : own < EDITOR ? 'forbidden' : allowed;

/** The role in what the node is in where the user has it. */
function roleOutside({ user, node, role: own }: Target): number {
  return own === NONE ? NONE : role(user.name, folderAround(user.name, node));
}
export const outside = (target: Target, allowed: string): string => changes({ ...target, role: roleOutside(target) }, allowed);

export const notOwner = (target: Target, allowed: string): string => {
  if (target.role === NONE || target.node.share === null) return 'not_found';
  return target.role < OWNER ? 'forbidden' : allowed;
};

/** Names in paths that the principal never had before their eyes. */
export function strangeNames(memory: Memory, paths: readonly (string | null)[]): string[] {
  return paths.flatMap((path) => (path ?? '').split('/')).filter((name) => name !== '' && !memory.names.has(name));
}

export const principalOf = ({ id, name }: User): Principal => ({ userId: id, userName: name, deviceId: DEVICE });
