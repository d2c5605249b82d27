import { resolve } from 'node:path';
import { z } from 'zod';
import { AppError } from '../../Models/errors.ts';

const Environment = z.object({
  DRIFTLESS_DATA: z.string().min(1).default('./data'),
  DRIFTLESS_DATABASE: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  DRIFTLESS_PASSWORD: z.string().min(1).optional(),
  DRIFTLESS_HOST: z.string().min(1).default('127.0.0.1'),
  DRIFTLESS_AUTH_PORT: z.coerce.number().int().min(0).max(65_535).default(4810),
});

export type Settings = {
  readonly data: string;
  readonly database: string | null; // PostgreSQL, else SQLite in `data`
  readonly password: string | null;
  readonly host: string; // that the daemon listens on
  readonly authPort: number; // 0: any
};

/** @throws AppError `config_invalid`, naming the variable but never its value */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new AppError('config_invalid', `${issue?.path.join('.')}: ${issue?.message}`);
  }
  const env = parsed.data;
  return {
    data: resolve(env.DRIFTLESS_DATA),
    database: env.DRIFTLESS_DATABASE ?? null,
    password: env.DRIFTLESS_PASSWORD ?? null,
    host: env.DRIFTLESS_HOST,
    authPort: env.DRIFTLESS_AUTH_PORT,
  };
}
