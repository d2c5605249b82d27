import { join } from 'node:path';
import { KSF_DEFAULT } from '../Models/datagram_fields.ts';
import { AppError } from '../Models/errors.ts';
import { fingerprint } from '../Models/handshake.ts';
import { nodePrimitives } from '../Models/node_primitives.ts';
import { openAccounts } from '../Storage/accounts_sql.ts';
import { openAudit } from '../Storage/audit_sql.ts';
import { openCarrierKey } from '../Storage/carrier_key.ts';
import type { DatabaseAddress } from '../Storage/database.ts';
import { makeDurableFolder } from '../Storage/durable_file.ts';
import { lockFolder } from '../Storage/folder_lock.ts';
import { AUTH_DEFAULTS, createAuthDaemon } from './auth_daemon.ts';
import { openLog } from './auth_log.ts';
import { carriedDatagrams } from './carried_datagrams.ts';
import { type AuthConfig, readConfig } from './config.ts';
import { tendKeys } from './key_tending.ts';
import { NO_PINS, watchPins } from './known_pins.ts';
import { openOpaqueThreads } from './opaque_threads.ts';
import { openSecrets } from './secrets.ts';
import { listen } from './udp_listener.ts';

async function makeFolder(path: string): Promise<void> {
  try {
    await makeDurableFolder(path, 0o700);
  } catch (cause) {
    throw new AppError('data_folder_unusable', `cannot make the folder ${path}`, { cause });
  }
}

async function main(config: AuthConfig): Promise<void> {
  const stopped = new Promise<void>((stop) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop());
  });
  await using opened = new AsyncDisposableStack();
  await makeFolder(config.data);
  opened.use(lockFolder(config.data, 'auth'));
  const log = openLog(config);
  const address = (name: string): DatabaseAddress =>
    config.database === null ? { kind: 'sqlite', file: join(config.data, name) } : { kind: 'postgres', url: config.database };
  const accounts = opened.adopt(await openAccounts(address('accounts.db')), (open) => open.close());
  const onFailure = (err: unknown): void => log.error({ err }, 'the audit record cannot be written');
  const audit = opened.adopt(await openAudit(address('audit.db'), { process: 'auth', onFailure }), (open) => open.close());
  const secrets = await openSecrets(config.data, { mayCreate: !(await accounts.hasAccounts()) });
  opened.use(tendKeys({ secrets, log, audit }));
  // A public address is that of a proxy, with a certificate that is none of ours.
  const pinned = config.https && config.publicUrl === null;
  const pins = pinned ? opened.use(watchPins(config.data, (err) => log.warn({ err }, 'the pins of the server cannot be read'))) : NO_PINS;
  const place = { httpPort: config.httpPort, publicUrl: config.publicUrl, pins: pins.current };
  const opaque = opened.adopt(openOpaqueThreads(secrets.opaqueSetup), (threads) => threads.close());
  const { registration, sessionRules } = config;
  const rules = { place, registration, sessionRules, ksf: KSF_DEFAULT };
  const daemon = createAuthDaemon({ ...AUTH_DEFAULTS, ...rules, opaque, accounts, secrets, log, audit, now: Date.now });
  const carried = carriedDatagrams(await openCarrierKey(config.data), Date.now);
  const listening = opened.adopt(await listen(daemon, config, log, carried), (socket) => socket.close());
  const host = listening.host.includes(':') ? `[${listening.host}]` : listening.host;
  log.info({ host, port: listening.port, key: fingerprint(nodePrimitives, secrets.boxPublicKey) }, 'listening');
  process.stdout.write(`driftless auth listening on udp://${host}:${listening.port}\n`);
  await stopped;
  log.info('stopping');
}

try {
  await main(readConfig(process.env));
} catch (error) {
  if (!(error instanceof AppError)) throw error;
  process.stderr.write(`driftless auth: ${error.message} (${error.code})\n`);
  process.exitCode = 1;
}
