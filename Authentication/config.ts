import { resolve } from 'node:path';
import { z } from 'zod';
import { HTTPS_MODES, speaksHttps } from '../Models/addresses.ts';
import { AppError } from '../Models/errors.ts';
import { REGISTRATION_MODES, type RegistrationMode } from './registration.ts';
import { SESSION_RULES, type SessionRules } from './session_rules.ts';

const Port = z.coerce.number().int().min(0).max(65_535);
const Count = z.coerce.number().int().min(0).max(1e9);
const Environment = z.object({
  DRIFTLESS_DATA: z.string().min(1).default('./data'),
  DRIFTLESS_LOGS: z.string().min(1).default('./logs'),
  DRIFTLESS_HOST: z.string().min(1).default('127.0.0.1'),
  DRIFTLESS_AUTH_PORT: Port.default(4810),
  DRIFTLESS_HTTP_PORT: Port.default(4811),
  DRIFTLESS_TLS: z.enum(HTTPS_MODES).default('auto'),
  DRIFTLESS_PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .max(160)
    .optional(),
  DRIFTLESS_DATABASE: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  DRIFTLESS_REGISTRATION: z.enum(REGISTRATION_MODES).default('local'),
  DRIFTLESS_IDLE_TIMEOUT: Count.default(100),
  DRIFTLESS_MAX_SESSIONS: Count.min(1).default(SESSION_RULES.max),
  DRIFTLESS_MAX_SESSIONS_PER_USER: Count.min(1).default(SESSION_RULES.maxPerUser),
  DRIFTLESS_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export type AuthConfig = {
  readonly data: string;
  readonly logs: string;
  readonly host: string;
  readonly port: number;
  readonly httpPort: number;
  readonly publicUrl: string | null;
  readonly https: boolean; // spoken by the server itself
  readonly database: string | null; // PostgreSQL, else SQLite in `data`
  readonly registration: RegistrationMode;
  readonly sessionRules: SessionRules;
  readonly logLevel: string;
};

/** @throws AppError `config_invalid`, naming the variable but never its value */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): AuthConfig {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new AppError('config_invalid', `${issue?.path.join('.')}: ${issue?.message}`);
  }
  const env = parsed.data;
  const publicUrl = env.DRIFTLESS_PUBLIC_URL ?? null;
  const https = speaksHttps({ mode: env.DRIFTLESS_TLS, host: env.DRIFTLESS_HOST });
  if (https && publicUrl?.startsWith('http:') === true) {
    throw new AppError('config_invalid', 'DRIFTLESS_PUBLIC_URL: away from loopback it must be https');
  }
  return {
    data: resolve(env.DRIFTLESS_DATA),
    logs: resolve(env.DRIFTLESS_LOGS),
    host: env.DRIFTLESS_HOST,
    port: env.DRIFTLESS_AUTH_PORT,
    httpPort: env.DRIFTLESS_HTTP_PORT,
    publicUrl,
    https,
    database: env.DRIFTLESS_DATABASE ?? null,
    registration: env.DRIFTLESS_REGISTRATION,
    sessionRules: {
      idleMs: env.DRIFTLESS_IDLE_TIMEOUT === 0 ? null : env.DRIFTLESS_IDLE_TIMEOUT * 1000,
      max: env.DRIFTLESS_MAX_SESSIONS,
      maxPerUser: env.DRIFTLESS_MAX_SESSIONS_PER_USER,
    },
    logLevel: env.DRIFTLESS_LOG_LEVEL,
  };
}
