import { resolve } from 'node:path';
import { z } from 'zod';
import { AppError } from '../Models/errors.ts';

const Port = z.coerce.number().int().min(0).max(65_535);
const Environment = z.object({
  DRIFTLESS_DATA: z.string().min(1).default('./data'),
  DRIFTLESS_LOGS: z.string().min(1).default('./logs'),
  DRIFTLESS_HOST: z.string().min(1).default('127.0.0.1'),
  DRIFTLESS_AUTH_PORT: Port.default(4810),
  DRIFTLESS_HTTP_PORT: Port.default(4811),
  DRIFTLESS_PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .max(160)
    .optional(),
  DRIFTLESS_DATABASE: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  DRIFTLESS_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export type AuthConfig = {
  readonly data: string;
  readonly logs: string;
  readonly host: string;
  readonly port: number;
  readonly httpPort: number;
  readonly publicUrl: string | null;
  readonly database: string | null; // PostgreSQL, else SQLite in `data`
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
  return {
    data: resolve(env.DRIFTLESS_DATA),
    logs: resolve(env.DRIFTLESS_LOGS),
    host: env.DRIFTLESS_HOST,
    port: env.DRIFTLESS_AUTH_PORT,
    httpPort: env.DRIFTLESS_HTTP_PORT,
    publicUrl: env.DRIFTLESS_PUBLIC_URL ?? null,
    database: env.DRIFTLESS_DATABASE ?? null,
    logLevel: env.DRIFTLESS_LOG_LEVEL,
  };
}
