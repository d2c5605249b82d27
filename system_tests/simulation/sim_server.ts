import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { AppError } from '../../Models/errors.ts';
import { TICKET } from '../../Models/ticket.ts';
import { buildApp } from '../../Server/app.ts';
import type { Authenticate } from '../../Server/authenticate.ts';
import { allowedWebhookHosts } from '../../Server/webhook_addresses.ts';
import type { Metadata, Principal } from '../../Storage/metadata.ts';
import { openServerStore, type ServerStore } from '../../Storage/server_store.ts';
import { MemoryPacks, memoryChunkStore } from './memory_chunk_store.ts';
import { ServerBooks } from './server_books.ts';

/** The server's real app on a real database and chunks in memory; nothing listens. */
export type SimServer = {
  readonly app: FastifyInstance;
  readonly metadata: Metadata;
  readonly books: ServerBooks;
  /** Another app on the same stores, as after a restart. */
  restart(): Promise<void>;
  /** The database as it is now, to go back to. */
  backUp(): Promise<void>;
  /** As it was at the last backup. @param newEpoch as the tool for it does; without: somebody copied the file back */
  restore(newEpoch: boolean): Promise<void>;
  close(): Promise<void>;
};

/** A folder in memory for databases, and a server in it that serves several worlds, each with a user of its own. */
export type SimFolder = {
  readonly path: string;
  /** @param wrap stands between the app and its metadata, to plant a mistake */
  server(wrap?: WrapMetadata): Promise<{ server: SimServer; clock: { nowMs: number }; user: string }>;
  /** A world has ended. */
  done(): Promise<void>;
  close(): Promise<void>;
};
/** @param file the database, for what no method does */
export type WrapMetadata = (metadata: Metadata, file: string) => Metadata;

/** @param worldsPerServer 1: a world's node numbers are always the same */
export async function openSimFolder(worldsPerServer: number): Promise<SimFolder> {
  const path = mkdtempSync('/dev/shm/driftless-simulation-');
  const template = join(path, 'template.db');
  const store = await openServerStore({ kind: 'sqlite', file: template });
  await store.close();
  const clock = { nowMs: 0 };
  let current: { server: SimServer; wrap: WrapMetadata | undefined; worlds: number } | null = null;

  async function end(): Promise<void> {
    await current?.server.close();
    current = null;
  }
  return {
    path,
    async server(wrap) {
      if (current !== null && current.wrap !== wrap) await end();
      current ??= { server: await openSimServer({ path, template }, () => clock.nowMs, wrap), wrap, worlds: 0 };
      current.worlds += 1;
      return { server: current.server, clock, user: `user${current.worlds}` };
    },
    async done() {
      if (current !== null && current.worlds >= worldsPerServer) await end();
    },
    async close() {
      await end();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

const IDS = new Map<string, string>();
const IDS_MAX = 1000;

/** 32 hex digits that are the same for the same text. */
function idOf(text: string): string {
  const known = IDS.get(text);
  if (known !== undefined) return known;
  if (IDS.size >= IDS_MAX) IDS.clear();
  const id = createHash('sha256').update(text).digest('hex').slice(0, 32);
  IDS.set(text, id);
  return id;
}

/** Who a simulated device is. @param user name; @param device number */
export function principalOf(user: string, device: number): Principal {
  return { userId: idOf(user), userName: user, deviceId: idOf(`${user} ${device}`) };
}

/** What a device sends as its ticket. */
export function ticketOf({ userName, deviceId }: Principal): string {
  return `${userName}.${deviceId}`;
}

const authenticate: Authenticate = async ({ headers }) => {
  const [, userName = '', deviceId = ''] = /^Bearer ([^.]+)\.([0-9a-f]{32})$/.exec(headers.authorization ?? '') ?? [];
  if (deviceId === '') throw new AppError('ticket_invalid', 'no ticket');
  const principal = { ...principalOf(userName, 0), deviceId };
  const claims = {
    iss: TICKET.issuer,
    aud: TICKET.audience,
    sub: principal.userId,
    name: userName,
    dev: deviceId,
    sid: deviceId,
    role: 'user',
    iat: 0,
    exp: 2 ** 40,
  } as const;
  return { principal, claims, keyId: '' };
};

async function openSimServer(
  folder: { readonly path: string; readonly template: string },
  now: () => number,
  wrap: WrapMetadata = (metadata) => metadata,
): Promise<SimServer> {
  const file = join(folder.path, 'server.db');
  const backup = join(folder.path, 'backup.db');
  removeDatabase(file);
  copyFileSync(folder.template, file);
  const packs = new MemoryPacks();
  let restores = 0;
  const openStore = (): Promise<ServerStore> => openServerStore({ kind: 'sqlite', file });
  let store = await openStore();
  let books = new ServerBooks(file, packs);
  let app = await openApp();

  function openApp(): Promise<FastifyInstance> {
    return buildApp({
      ...store,
      metadata: books.watching(wrap(store.metadata, file)),
      monotonicMs: now,
      changes: {
        subscribe: () => () => undefined,
        follow: () => () => undefined,
        hearArriving: () => () => undefined,
        publish: () => undefined,
        publishArriving: () => undefined,
        now: () => ({ server: '00000000', us: 0 }),
      },
      webhookHosts: allowedWebhookHosts([]),
      webhookDelivery: { refresh: () => undefined },
      chunks: memoryChunkStore(packs),
      accounts: {
        findUser: async (name) => ({ id: principalOf(name, 0).userId, name }),
        invitedQuota: async () => null,
        userProfile: async () => ({ displayName: '', email: '' }),
        displayNames: async () => new Map(),
        devices: async () => [],
        listDevices: async () => [],
        listSessions: async () => [],
      },
      notices: { ...store.notices, deviceSeen: async () => undefined }, // noted beside the requests, in no order
      authenticate,
      isAdmin: () => false,
      audit: { record: () => undefined },
      ticketKeys: { published: [] },
      tls: null,
      carrier: { carry: async () => null },
      trustedProxies: [],
      processMetrics: new Registry(), // nobody asks
      readiness: async () => [],
      log: pino({ level: 'silent' }),
      loopbackOnly: true,
    });
  }

  async function reopen(between: () => void): Promise<void> {
    await app.close();
    books.close(); // the last to close moves the log into the file, and only who writes can
    await store.close();
    between();
    store = await openStore();
    books = new ServerBooks(file, packs);
    app = await openApp();
  }

  return {
    get app() {
      return app;
    },
    get metadata() {
      return store.metadata;
    },
    get books() {
      return books;
    },
    restart: () => reopen(() => undefined),
    backUp: () => reopen(() => copyFileSync(file, backup)),
    restore: (newEpoch) =>
      reopen(() => {
        removeDatabase(file);
        copyFileSync(backup, file);
        restores += 1;
        if (newEpoch) changeEpoch(file, restores);
      }),
    async close() {
      await app.close();
      books.close();
      await store.close();
      removeDatabase(file);
    },
  };
}

function removeDatabase(file: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
}

/** @param count so that no two restores of one backup are the same */
function changeEpoch(file: string, count: number): void {
  const database = new DatabaseSync(file);
  const epoch = createHash('sha256').update(`restored ${count}`).digest('hex');
  database.prepare("UPDATE settings SET value = ? WHERE name = 'epoch'").run(epoch.slice(0, 32));
  database.close();
}
