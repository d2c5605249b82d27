import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance, InjectOptions } from 'fastify';
import pino from 'pino';
import { LIMITS } from '../../Models/limits.ts';
import type { Accounts } from '../../Storage/accounts.ts';
import { openAccounts } from '../../Storage/accounts_sql.ts';
import type { AuditEvent } from '../../Storage/audit.ts';
import type { ChunkStore } from '../../Storage/chunk_store.ts';
import type { DatabaseAddress } from '../../Storage/database.ts';
import type { Links } from '../../Storage/links.ts';
import type { Metadata } from '../../Storage/metadata.ts';
import type { Notices } from '../../Storage/notices.ts';
import { openPackChunkStore } from '../../Storage/pack_chunk_store.ts';
import type { Quotas } from '../../Storage/quota.ts';
import { openServerStore } from '../../Storage/server_store.ts';
import { keepWritings } from '../../Storage/testing/kept_writings.ts';
import { adminsNamed } from '../admins.ts';
import { buildApp } from '../app.ts';
import type { AuthCarrier } from '../auth_carrier.ts';
import { createAuthenticator } from '../authenticate.ts';
import { ticketKeysPath } from '../config.ts';
import { LocalFanOut } from '../events/events_fan_out.ts';
import { LOG_FORM } from '../log.ts';
import { watchProcess } from '../metrics.ts';
import { createReadiness } from '../readiness.ts';
import { Revocations } from '../revocations.ts';
import { RevokedDevices } from '../revoked_devices.ts';
import { createTicketVerifier, TicketKeys } from '../tickets.ts';
import type { TlsIdentity } from '../tls_identity.ts';
import { allowedWebhookHosts, resolveName } from '../webhook_addresses.ts';
import { WebhookDelivery } from '../webhooks/webhook_delivery.ts';
import { openWebhookSender } from '../webhooks/webhook_sender.ts';
import { keySet, makeSigningKey, mintTicket, type SigningKey, type TicketParts } from './ticket_mint.ts';

/** A user with an account and a live session. */
export type User = { readonly id: string; readonly name: string; readonly sessionId: string; readonly ticket: string };

export type Answer = {
  readonly status: number;
  readonly headers: Record<string, string | string[] | number | undefined>;
  readonly bytes: Buffer;
  /** Whatever it is: a test compares it with what it expects. */
  json(): ReturnType<JSON['parse']>;
};

/** The server's app on real stores in a folder of its own; nothing listens unless a test does so. */
export type ServerFixture = AsyncDisposable & {
  readonly app: FastifyInstance;
  readonly folder: string;
  readonly tls: TlsIdentity | null;
  readonly key: SigningKey;
  readonly accounts: Accounts;
  readonly metadata: Metadata;
  readonly links: Links;
  readonly chunks: ChunkStore;
  readonly quotas: Quotas;
  readonly revocations: Revocations;
  readonly notices: Notices;
  readonly audited: readonly AuditEvent[];
  /** Log lines so far. */
  readonly logged: string[];
  addUser(name: string): Promise<User>;
  ticketFor(user: Pick<User, 'id' | 'name' | 'sessionId'>, parts?: TicketParts): Promise<string>;
  /** One request without a socket. */
  ask(user: User | null, options: InjectOptions): Promise<Answer>;
};

export type FixtureOptions = {
  /** What its own folder is made in. */
  readonly folder?: string;
  /** Stands between the app and the real chunk store. */
  readonly wrapChunks?: (chunks: ChunkStore) => ChunkStore;
  readonly loopbackOnly?: boolean;
  readonly carrier?: Pick<AuthCarrier, 'carry'>;
  readonly trustedProxies?: readonly string[];
  /** Makes who it is on HTTPS. */
  readonly tls?: (dataFolder: string) => Promise<TlsIdentity>;
  /** An empty database in place of one on SQLite. */
  readonly metadata?: DatabaseAddress;
  readonly monotonicMs?: () => number;
  /** Patterns of DRIFTLESS_WEBHOOK_HOSTS. */
  readonly webhookHosts?: readonly string[];
};

export async function openServer(options: FixtureOptions = {}): Promise<ServerFixture> {
  const stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(options.folder ?? tmpdir(), 'driftless-server-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const closing = <T extends { close(): Promise<unknown> }>(part: T): T => stack.adopt(part, async (open) => void (await open.close()));
  const chunks = closing(await openPackChunkStore(join(folder, 'packs')));
  const store = closing(await openServerStore(options.metadata ?? { kind: 'sqlite', file: join(folder, 'driftless.db') }));
  const { metadata } = store;
  const accounts = closing(await openAccounts({ kind: 'sqlite', file: join(folder, 'accounts.db') }));
  const key = makeSigningKey();
  await mkdir(join(folder, 'auth'));
  await writeFile(ticketKeysPath(folder), await keySet([key]));

  const keys = new TicketKeys(ticketKeysPath(folder), Date.now);
  const revokedDevices = closing(
    new RevokedDevices({
      ...store,
      accounts,
      onFailure(error) {
        throw error;
      },
    }),
  );
  const revocations = closing(
    new Revocations(
      accounts,
      () => performance.now(),
      () => undefined,
      revokedDevices.ended.bind(revokedDevices),
    ),
  );
  await Promise.all([keys.refresh(), revocations.start()]);
  const audited: AuditEvent[] = [];
  const audit = { record: (event: AuditEvent) => void audited.push(event) };
  const authenticate = createAuthenticator({ tickets: createTicketVerifier(keys, Date.now), revocations, audit });
  const logged: string[] = [];
  const changes = closing(
    new LocalFanOut(store, (error) => {
      throw error;
    }),
  );
  store.onTouched((touched) => changes.publish(touched));
  const webhookHosts = allowedWebhookHosts(options.webhookHosts ?? []);
  const sender = await openWebhookSender({ hosts: webhookHosts, resolve: resolveName, timeoutMs: LIMITS.webhookTimeoutMs, now: Date.now });
  const onFailure = (error: unknown): void => void logged.push(String(error));
  const parts = { ...store, accounts, changes, sender, now: Date.now, random: Math.random, onEnded: () => undefined, onFailure };
  const webhookDelivery = closing(new WebhookDelivery(parts));
  const tls = (await options.tls?.(folder)) ?? null;
  const app = closing(
    await buildApp({
      ...store,
      monotonicMs: options.monotonicMs ?? (() => performance.now()),
      chunks: options.wrapChunks?.(chunks) ?? chunks,
      accounts,
      authenticate,
      ticketKeys: keys,
      isAdmin: adminsNamed(['administrator']),
      audit,
      changes,
      webhookHosts,
      webhookDelivery,
      processMetrics: watchProcess(),
      readiness: createReadiness({ dataFolder: folder, metadata, keys, revocations }),
      log: pino({ ...LOG_FORM, level: 'trace' }, { write: (line) => logged.push(line) }),
      loopbackOnly: options.loopbackOnly ?? true,
      tls,
      carrier: options.carrier ?? { carry: async () => null },
      trustedProxies: options.trustedProxies ?? [],
    }),
  );

  const ticketFor: ServerFixture['ticketFor'] = (user, parts = {}) =>
    mintTicket(key, Date.now(), { ...parts, claims: { sub: user.id, name: user.name, sid: user.sessionId, ...parts.claims } });

  return {
    app,
    folder,
    tls,
    key,
    accounts,
    metadata,
    links: store.links,
    chunks,
    quotas: store.quotas,
    revocations,
    notices: store.notices,
    audited,
    logged,
    ticketFor,
    async addUser(name) {
      const user = { id: randomBytes(16).toString('hex'), name, sessionId: randomBytes(16).toString('hex') };
      const ksf = { memoryKiB: 8, iterations: 1, parallelism: 1 };
      await accounts.addAccount({ id: user.id, name, role: 'user', disabled: false, record: Buffer.alloc(192), ksf }, Date.now());
      await accounts.openSession({ id: user.sessionId, userId: user.id, deviceId: '2'.repeat(32), deviceName: 'test', atMs: Date.now() });
      return { ...user, ticket: await ticketFor(user) };
    },
    async ask(user, request) {
      await setImmediate(); // a socket would give timers their turn as well
      const authorization = user === null ? {} : { authorization: `Bearer ${user.ticket}` };
      const answer = await app.inject({ ...request, headers: { ...authorization, ...request.headers } });
      return { status: answer.statusCode, headers: answer.headers, bytes: answer.rawPayload, json: () => answer.json() };
    },
    async [Symbol.asyncDispose]() {
      await stack.disposeAsync();
      await keepWritings('server.log', logged, audited);
    },
  };
}
