import { join } from 'node:path';
import { KSF_DEFAULT } from '../Models/datagram_fields.ts';
import { AppError } from '../Models/errors.ts';
import { fingerprint } from '../Models/handshake.ts';
import { openAccounts } from '../Storage/accounts_sql.ts';
import { makeDurableFolder } from '../Storage/durable_file.ts';
import { lockFolder } from '../Storage/folder_lock.ts';
import { AUTH_DEFAULTS, createAuthDaemon } from './auth_daemon.ts';
import { openLog } from './auth_log.ts';
import { type AuthConfig, readConfig } from './config.ts';
import { nodePrimitives } from './node_primitives.ts';
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
  const address =
    config.database === null
      ? { kind: 'sqlite' as const, file: join(config.data, 'accounts.db') }
      : { kind: 'postgres' as const, url: config.database };
  const accounts = opened.adopt(await openAccounts(address), (open) => open.close());
  const secrets = await openSecrets(config.data, { mayCreate: !(await accounts.hasAccounts()) });
  const place = { httpPort: config.httpPort, publicUrl: config.publicUrl };
  const daemon = createAuthDaemon({ ...AUTH_DEFAULTS, accounts, secrets, place, ksf: KSF_DEFAULT, log, now: Date.now });
  const listening = opened.adopt(await listen(daemon, config, log), (socket) => socket.close());
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
