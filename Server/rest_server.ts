// first: see there
import './small_heap.ts';

import { join } from 'node:path';
import { isLoopbackName } from '../Models/addresses.ts';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { openAccountsReader } from '../Storage/accounts_sql.ts';
import { openAudit } from '../Storage/audit_sql.ts';
import { openCarrierKey } from '../Storage/carrier_key.ts';
import type { DatabaseAddress } from '../Storage/database.ts';
import { makeDurableFolder } from '../Storage/durable_file.ts';
import { lockFolder } from '../Storage/folder_lock.ts';
import { openPackChunkStore } from '../Storage/pack_chunk_store.ts';
import { openServerStore } from '../Storage/server_store.ts';
import { adminsNamed } from './admins.ts';
import { buildApp } from './app.ts';
import { openAuthCarrier } from './auth_carrier.ts';
import { createAuthenticator } from './authenticate.ts';
import { readConfig, type ServerConfig, ticketKeysPath } from './config.ts';
import { LocalFanOut } from './events/events_fan_out.ts';
import { listen, stopListening } from './listen.ts';
import { openLog } from './log.ts';
import { watchProcess } from './metrics.ts';
import { createReadiness } from './readiness.ts';
import { startRetention } from './retention.ts';
import { Revocations } from './revocations.ts';
import { RevokedDevices } from './revoked_devices.ts';
import { createTicketVerifier, TicketKeys } from './tickets.ts';
import { openTls } from './tls_server.ts';
import { allowedWebhookHosts, resolveName } from './webhook_addresses.ts';
import { WebhookDelivery } from './webhooks/webhook_delivery.ts';
import { openWebhookSender } from './webhooks/webhook_sender.ts';

const KEYS_REFRESH_MS = 1000; // so that a key taken away is not trusted for long

/** Builds everything and listens; what was opened is closed in reverse order when `stack` is disposed of. */
async function start(config: ServerConfig, stack: AsyncDisposableStack): Promise<string> {
  const log = openLog(config);
  await makeDataFolder(config.dataFolder);
  stack.use(lockFolder(config.dataFolder, 'server'));

  const address = (name: string): DatabaseAddress =>
    config.databaseUrl === null ? { kind: 'sqlite', file: join(config.dataFolder, name) } : { kind: 'postgres', url: config.databaseUrl };
  const chunks = stack.adopt(await openPackChunkStore(join(config.dataFolder, 'packs')), close);
  const store = stack.adopt(await openServerStore(address('driftless.db')), close);
  const { metadata } = store;
  const onUnwritten = (err: unknown): void => log.error({ err }, 'the audit record cannot be written');
  const audit = stack.adopt(await openAudit(address('audit.db'), { process: 'server', onFailure: sparingly(onUnwritten) }), close);
  const accounts = stack.adopt(openAccountsReader(address('accounts.db')), close);

  const keys = new TicketKeys(ticketKeysPath(config.dataFolder), Date.now);
  const onFailure = sparingly((err) => log.warn({ err }, 'the accounts or the ticket keys cannot be read'));
  const revokedDevices = stack.adopt(new RevokedDevices({ ...store, accounts, onFailure }), close);
  const onEnded = revokedDevices.ended.bind(revokedDevices);
  const revocations = stack.adopt(new Revocations(accounts, () => performance.now(), onFailure, onEnded), close);
  const changes = stack.adopt(
    new LocalFanOut(
      store,
      sparingly((err) => log.warn({ err }, 'who may know of a change cannot be read')),
    ),
    close,
  );
  store.onTouched((touched) => changes.publish(touched));
  store.beginIndexing();
  const refreshKeys = () => keys.refresh().catch(onFailure);
  await Promise.all([refreshKeys(), revocations.start()]);
  stack.adopt(
    setInterval(() => void refreshKeys(), KEYS_REFRESH_MS),
    clearInterval,
  );

  const authenticate = createAuthenticator({ tickets: createTicketVerifier(keys, Date.now), revocations, audit });
  const isAdmin = adminsNamed(config.admins);
  const readiness = createReadiness({ dataFolder: config.dataFolder, metadata, keys, revocations });
  const loopbackOnly = isLoopbackName(config.host);
  const onTlsFailure = sparingly((err) => log.error({ err }, 'the HTTPS certificate cannot be looked after'));
  const tls = config.tls === null ? null : stack.adopt(await openTls(config, config.tls, onTlsFailure), close);
  tls?.onChange(() => audit.record({ what: 'certificate_changed', result: 'ok', detail: 'in use' }));
  const daemon = { host: config.host, port: config.authPort };
  const carrier = stack.adopt(
    openAuthCarrier(daemon, () => openCarrierKey(config.dataFolder)),
    close,
  );
  const monotonicMs = (): number => performance.now();
  const webhookHosts = allowedWebhookHosts(config.webhookHosts);
  const sender = await openWebhookSender({ hosts: webhookHosts, resolve: resolveName, timeoutMs: LIMITS.webhookTimeoutMs, now: Date.now });
  const webhookDelivery = stack.adopt(
    new WebhookDelivery({
      ...store,
      accounts,
      changes,
      sender,
      now: Date.now,
      random: Math.random,
      onEnded: (webhook, reason) => log.info({ webhook, reason }, 'a webhook is sent nothing more'),
      onFailure: sparingly((err) => log.warn({ err }, 'webhooks cannot be attended to')),
    }),
    close,
  );
  webhookDelivery.refresh();
  const ticketKeys = keys;
  const parts = {
    ...store,
    chunks,
    accounts,
    authenticate,
    isAdmin,
    ticketKeys,
    audit,
    changes,
    readiness,
    processMetrics: watchProcess(),
    log,
    monotonicMs,
    loopbackOnly,
  };
  const app = await buildApp({ ...parts, webhookHosts, webhookDelivery, tls, carrier, trustedProxies: config.trustedProxies });
  stack.adopt(app, stopListening);
  const onThinned = (versions: number): void => log.info({ versions }, 'older versions were given up');
  const onThinFailure = (err: unknown): void => log.warn({ err }, 'older versions could not be given up');
  stack.adopt(startRetention(store.history, config.keep, { onThinned, onFailure: onThinFailure }), close);
  return listen(app, config);
}

/** What is tried each second may fail each second: told once a minute. */
function sparingly(tell: (error: unknown) => void): (error: unknown) => void {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (Date.now() - toldAtMs < 60_000) return;
    toldAtMs = Date.now();
    tell(error);
  };
}

async function makeDataFolder(folder: string): Promise<void> {
  try {
    await makeDurableFolder(folder, 0o700);
  } catch (cause) {
    throw new AppError('data_folder_unusable', `cannot make the data folder ${folder}`, { cause });
  }
}

function close(part: { close(): Promise<void> }): Promise<void> {
  return part.close();
}

async function main(): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
  await using stack = new AsyncDisposableStack();
  const url = await start(readConfig(process.env), stack);
  console.log(`driftless server listening on ${url}`);
  await stopped;
}

try {
  await main();
} catch (error) {
  const text = error instanceof AppError ? `${error.message} (${error.code})` : error instanceof Error ? error.stack : String(error);
  console.error(`driftless server: ${text}`);
  process.exitCode = 1;
}
