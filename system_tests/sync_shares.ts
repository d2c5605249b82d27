import assert from 'node:assert/strict';
import type { User } from '../Server/testing/server_fixture.ts';
import type { SyncWorld } from './sync_devices.ts';

type Role = 'viewer' | 'editor' | 'owner';

/** What a user does with shared folders, each as one request. @throws AssertionError where the server does not do it, with what it says */
export type Sharer = {
  share(path: string, guest: Sharer, role: Role, at: string): Promise<void>;
  role(path: string, guest: Sharer, role: Role): Promise<void>;
  uninvite(path: string, guest: Sharer): Promise<void>;
  leave(path: string): Promise<void>;
  move(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  undelete(path: string): Promise<void>;
  readonly user: User;
};

export function sharer({ server }: Pick<SyncWorld, 'server'>, user: User): Sharer {
  async function ask(who: User, method: 'POST' | 'DELETE', url: string, payload?: object): Promise<ReturnType<JSON['parse']>> {
    const answer = await server.ask(who, { method, url, ...(payload === undefined ? {} : { payload }) });
    assert.ok(answer.status < 300, `${method} ${url} ${JSON.stringify(payload)}: ${answer.status} ${answer.bytes.toString()}`);
    return answer.bytes.length === 0 ? null : answer.json();
  }
  return {
    user,
    async share(path, guest, role, at) {
      const { id } = await ask(user, 'POST', '/v1/invitations', { path, user: guest.user.name, role });
      await ask(guest.user, 'POST', `/v1/invitations/${id}/accept`, { at });
    },
    role: (path, guest, role) => ask(user, 'POST', '/v1/members', { path, user: guest.user.name, role }),
    uninvite: (path, guest) => ask(user, 'DELETE', `/v1/members?path=${encodeURIComponent(path)}&user=${guest.user.name}`),
    leave: (path) => ask(user, 'POST', '/v1/leave', { path }),
    move: (from, to) => ask(user, 'POST', '/v1/move', { from, to }),
    remove: (path) => ask(user, 'DELETE', `/v1/entry?path=${encodeURIComponent(path)}`),
    undelete: (path) => ask(user, 'POST', '/v1/undelete', { path }),
  };
}
