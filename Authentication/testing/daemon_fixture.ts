import { join } from 'node:path';
import pino from 'pino';
import type { Ksf } from '../../Models/datagram_fields.ts';
import type { Accounts } from '../../Storage/accounts.ts';
import { openAccounts } from '../../Storage/accounts_sql.ts';
import type { AuditEvent } from '../../Storage/audit.ts';
import { openCarrierKey } from '../../Storage/carrier_key.ts';
import { makeDurableFolder } from '../../Storage/durable_file.ts';
import { isKept, keepWritings } from '../../Storage/testing/kept_writings.ts';
import { AUTH_DEFAULTS, type AuthDaemon, type AuthDaemonDeps, createAuthDaemon } from '../auth_daemon.ts';
import { LOG_FORM } from '../auth_log.ts';
import { carriedDatagrams } from '../carried_datagrams.ts';
import { GUESS_LIMITS } from '../guess_limit.ts';
import { createOpaqueServer } from '../opaque_server.ts';
import { openSecrets, type Secrets } from '../secrets.ts';
import { SESSION_RULES } from '../session_rules.ts';
import { listen } from '../udp_listener.ts';

/** Stretching that costs nothing: only for tests, whose clients must be told to accept it. */
const CHEAP_KSF: Ksf = { memoryKiB: 64, iterations: 1, parallelism: 1 };
const SILENT = pino({ level: 'silent' });
const PLACE = { httpPort: 4811, publicUrl: null, pins: () => [] };
const UNLIMITED = { perSecond: 1e6, burst: 1e6 };
const UNLIMITED_GUESSES = { ...GUESS_LIMITS, free: Number.MAX_SAFE_INTEGER };

export type DaemonFixture = AsyncDisposable & {
  readonly address: string; // HOST:PORT
  readonly daemon: AuthDaemon;
  readonly accounts: Accounts;
  readonly secrets: Secrets;
  readonly audited: readonly AuditEvent[];
};

/** A daemon in this process, on `folder` as its data folder; start it again there and it is the same daemon, restarted. */
export async function startDaemon(
  folder: string,
  options: Partial<Omit<AuthDaemonDeps, 'accounts' | 'secrets'>> & { port?: number; wrap?: (accounts: Accounts) => Accounts } = {},
): Promise<DaemonFixture> {
  await makeDurableFolder(folder, 0o700);
  const { port = 0, wrap = (accounts: Accounts) => accounts, ...rest } = options;
  const accounts = wrap(await openAccounts({ kind: 'sqlite', file: join(folder, 'accounts.db') }));
  const secrets = await openSecrets(folder, { mayCreate: !(await accounts.hasAccounts()) });
  const logged: string[] = [];
  const log = pino({ ...LOG_FORM, level: isKept() ? 'trace' : 'silent' }, { write: (line) => logged.push(line) });
  const audited: AuditEvent[] = [];
  const audit = { record: (event: AuditEvent) => void audited.push(event) };
  const defaults = {
    ...AUTH_DEFAULTS,
    rate: UNLIMITED,
    beginRate: UNLIMITED,
    sessionRate: UNLIMITED,
    promptRate: UNLIMITED,
    accountRate: UNLIMITED,
    guessLimits: UNLIMITED_GUESSES,
    sessionRules: { ...SESSION_RULES, max: 1e9, maxPerUser: 1e9 },
    queueMax: 1024,
    registration: 'local' as const,
    place: PLACE,
    ksf: CHEAP_KSF,
    log,
    audit,
    opaque: createOpaqueServer(secrets.opaqueSetup),
    now: Date.now,
  };
  const daemon = createAuthDaemon({ ...defaults, ...rest, accounts, secrets });
  const carried = carriedDatagrams(await openCarrierKey(folder), defaults.now);
  const listening = await listen(daemon, { host: '127.0.0.1', port }, log, carried);
  let ended: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    await listening.close();
    await accounts.close();
    await keepWritings('auth.log', logged, audited);
  };
  return {
    address: `127.0.0.1:${listening.port}`,
    daemon,
    accounts,
    secrets,
    audited,
    [Symbol.asyncDispose]() {
      ended ??= end(); // a test may end it before its own end
      return ended;
    },
  };
}

/** A daemon without a socket, with the accounts and secrets of another one, a clock of its own, and the limits that daemons have where nobody says otherwise. */
export function twinOf({ accounts, secrets }: DaemonFixture, own: Pick<AuthDaemonDeps, 'now' | 'opaque'>): AuthDaemon {
  const audit = { record: () => undefined };
  const rest = { registration: 'local', place: PLACE, ksf: CHEAP_KSF, log: SILENT, audit } as const;
  return createAuthDaemon({ ...AUTH_DEFAULTS, ...rest, ...own, repliesMax: 256, accounts, secrets });
}
