import { AppError } from './errors.ts';

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/**
 * A length of time as it is typed: `90s`, `30m`, `12h`, `7d`, `2w`.
 * @returns whole seconds, at least one
 * @throws AppError `request_invalid`
 */
export function parseDuration(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([smhdw])$/i.exec(text) ?? [];
  const seconds = Number(digits) * (SECONDS[unit.toLowerCase()] ?? 0);
  if (digits === undefined || seconds < 1)
    throw new AppError('request_invalid', `"${text}" is no length of time: use 90s, 30m, 12h, 7d or 2w`);
  return seconds;
}
