import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { HTTPS_MODES, speaksHttps } from '../Models/addresses.ts';
import { AppError } from '../Models/errors.ts';
import type { KeepPolicy } from '../Storage/history.ts';

export type ServerConfig = {
  readonly dataFolder: string; // absolute
  readonly host: string; // address or name to listen on
  readonly port: number; // 0: any free port
  readonly authPort: number; // UDP, of the daemon
  /** Addresses and networks of proxies that say where a request came from. */
  readonly trustedProxies: readonly string[];
  /** HTTPS with a certificate that was given, or one of our own; `null` for plain HTTP. */
  readonly tls: { readonly given: { readonly certificate: string; readonly key: string } | null } | null;
  readonly logFolder: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** PostgreSQL URL, or `null` for the embedded database in the data folder. May hold a password: never logged. */
  readonly databaseUrl: string | null;
  /** Names of users that are administrators. */
  readonly admins: readonly string[];
  /** Where webhooks may be sent to, see webhook_addresses.ts. */
  readonly webhookHosts: readonly string[];
  /** How long what is replaced is kept. */
  readonly keep: KeepPolicy;
};

const Environment = z.object({
  DRIFTLESS_DATA: z.string().min(1).default('./data'),
  DRIFTLESS_HTTP_PORT: z.coerce.number().int().min(0).max(65535).default(4811),
  DRIFTLESS_HOST: z.string().min(1).default('127.0.0.1'),
  DRIFTLESS_AUTH_PORT: z.coerce.number().int().min(0).max(65535).default(4810),
  DRIFTLESS_TRUSTED_PROXIES: z
    .string()
    .default('')
    .transform(listOf)
    .refine((all) => all.every(isNetwork), 'must be addresses or networks like 10.0.0.0/8'),
  DRIFTLESS_TLS: z.enum(HTTPS_MODES).default('auto'),
  DRIFTLESS_TLS_CERT: z.string().min(1).optional(),
  DRIFTLESS_TLS_KEY: z.string().min(1).optional(),
  DRIFTLESS_LOGS: z.string().min(1).default('./logs'),
  DRIFTLESS_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  DRIFTLESS_ADMINS: z.string().default(''),
  DRIFTLESS_WEBHOOK_HOSTS: z.string().default(''),
  DRIFTLESS_DATABASE: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL')
    .optional(),
  DRIFTLESS_KEEP_ALL_DAYS: z.coerce.number().int().min(1).max(36_500).default(30),
  DRIFTLESS_KEEP_DAILY_DAYS: z.coerce.number().int().min(1).max(36_500).default(90),
});
const DAY_MS = 86_400_000;

/** @throws AppError `config_invalid`, naming the variable and the rule but not the value */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): ServerConfig {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new AppError('config_invalid', problems.join('; '));
  }
  const values = parsed.data;
  return {
    dataFolder: resolve(values.DRIFTLESS_DATA),
    host: values.DRIFTLESS_HOST,
    port: values.DRIFTLESS_HTTP_PORT,
    authPort: values.DRIFTLESS_AUTH_PORT,
    trustedProxies: values.DRIFTLESS_TRUSTED_PROXIES,
    tls: speaksHttps({ mode: values.DRIFTLESS_TLS, host: values.DRIFTLESS_HOST }) ? { given: givenPair(values) } : null,
    logFolder: resolve(values.DRIFTLESS_LOGS),
    logLevel: values.DRIFTLESS_LOG_LEVEL,
    databaseUrl: values.DRIFTLESS_DATABASE ?? null,
    admins: listOf(values.DRIFTLESS_ADMINS),
    webhookHosts: listOf(values.DRIFTLESS_WEBHOOK_HOSTS),
    keep: { allMs: values.DRIFTLESS_KEEP_ALL_DAYS * DAY_MS, dailyMs: values.DRIFTLESS_KEEP_DAILY_DAYS * DAY_MS },
  };
}

function givenPair(values: { DRIFTLESS_TLS_CERT?: string | undefined; DRIFTLESS_TLS_KEY?: string | undefined }) {
  const { DRIFTLESS_TLS_CERT: certificate, DRIFTLESS_TLS_KEY: key } = values;
  if (certificate === undefined && key === undefined) return null;
  if (certificate === undefined || key === undefined) {
    throw new AppError('config_invalid', 'DRIFTLESS_TLS_CERT and DRIFTLESS_TLS_KEY go together');
  }
  return { certificate: resolve(certificate), key: resolve(key) };
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  return (
    version !== 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)))
  );
}

function listOf(text: string): string[] {
  return text.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]));
}

/** Public keys of the daemon, a JWKS file that it writes. */
export function ticketKeysPath(dataFolder: string): string {
  return join(dataFolder, 'auth', 'ticket_keys.json');
}
