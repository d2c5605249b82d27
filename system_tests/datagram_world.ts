import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type DaemonFixture, startDaemon } from '../Authentication/testing/daemon_fixture.ts';
import { type BareClient, directExchange, openBareClient } from '../Client/testing/auth_client.ts';
import type { Accounts } from '../Storage/accounts.ts';

/** What the tests of datagrams share: a daemon in this process, and what a client says to it and hears. */

export const WHO = { username: 'alice', password: 'correct horse battery' };
export const SOURCE = { address: '127.0.0.1', port: 40_000 };

export type Turn = { readonly up: Uint8Array; readonly down: Uint8Array | null };
export type World = { readonly server: DaemonFixture; readonly client: BareClient };

export async function world(t: TestContext, options: Parameters<typeof startDaemon>[1] = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'driftless-datagrams-'));
  const server = await startDaemon(folder, options);
  const client = openBareClient();
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  return { server, client };
}

/** Everything that `work` says to the daemon and hears from it. */
export async function recorded(
  server: DaemonFixture,
  work: (exchange: ReturnType<typeof directExchange>) => Promise<unknown>,
): Promise<Turn[]> {
  const turns: Turn[] = [];
  const exchange = directExchange(async (up) => {
    const down = await server.daemon.receive(up, SOURCE);
    turns.push({ up: Uint8Array.from(up), down });
    return down;
  });
  await work(exchange);
  return turns;
}

/** At least one of each kind of client datagram. */
export async function everyKind({ server, client }: World, who = WHO): Promise<Turn[]> {
  return recorded(server, async (exchange) => {
    await client.register(exchange, who);
    const first = await client.login(exchange, who);
    await client.renew(exchange, first);
    await client.change(exchange, first, { kind: 'renameDevice', deviceId: hex(first.grant.deviceId), name: 'desk' });
    await client.begin(exchange, first);
    await client.changePassword(exchange, first, { current: who.password, next: who.password, keepOthers: true });
    await client.logout(exchange, await client.login(exchange, who));
  });
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const kindOf = (bytes: Uint8Array): number => bytes[3] ?? 0;

/** How many sessions there are, by the count of FINISH that make one. */
export function countingSessions(): { readonly ids: Set<string>; wrap(accounts: Accounts): Accounts } {
  const ids = new Set<string>();
  return {
    ids,
    wrap: (accounts) => ({
      ...accounts,
      openSession(session) {
        ids.add(session.id);
        return accounts.openSession(session);
      },
    }),
  };
}
