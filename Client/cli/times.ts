import { AppError } from '../../Models/errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 };

/**
 * A length of time as it is typed: `90s`, `30m`, `2h`, `7d`, `1w`.
 * @returns ms
 * @throws AppError `request_invalid`
 */
export function parseDuration(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  if (digits === undefined) throw new AppError('request_invalid', `"${text}" is no length of time like 30m, 2h or 7d`);
  return Number(digits) * (UNIT_MS[unit] as number);
}

/**
 * A moment as it is typed, in local time: `14:05` (today), `2026-11-27`, `2026-11-27 14:05`, ISO 8601, or how long ago: `2h`, `7d`.
 * @throws AppError `request_invalid`
 */
export function parseTime(text: string, now: Date): Date {
  if (/^\d{1,6}[smhdw]$/.test(text)) return new Date(now.getTime() - parseDuration(text));
  const [, hours, minutes, seconds = '0'] = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text) ?? [];
  if (hours !== undefined) {
    const time = new Date(now);
    time.setHours(Number(hours), Number(minutes), Number(seconds), 0);
    if (Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) < 60) return time;
  }
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const time = new Date(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T')); // a date alone would be read as of UTC
    if (!Number.isNaN(time.getTime())) return time;
  }
  throw new AppError('request_invalid', `"${text}" is no time like 14:05, 2026-11-27, "2026-11-27 14:05" or 7d (ago)`);
}
