import { AppError } from '../../Models/errors.ts';
import { formatBytes } from '../../Models/format_bytes.ts';
import { BYTES_OF } from '../../Models/parse_bytes.ts';

const RATE_MIN = 1000; // slower than this nothing ever ends

/**
 * A rate as it is typed: `500K`, `2M`, `1.5M`, `800000`; `0` or `none`: no limit.
 * @returns bytes per second, `null` for no limit
 * @throws AppError `request_invalid`
 */
export function parseRate(text: string): number | null {
  if (text === 'none' || text === '0') return null;
  const [, digits, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)([KMG]?)$/i.exec(text) ?? [];
  const rate = Math.round(Number(digits) * (BYTES_OF[unit.toUpperCase()] ?? 1));
  if (digits === undefined || !Number.isSafeInteger(rate) || rate < RATE_MIN) {
    throw new AppError('request_invalid', `"${text}" is no rate: bytes per second like 500K or 2M, at least 1K; "none" for no limit`);
  }
  return rate;
}

export function formatRate(rate: number): string {
  return `${formatBytes(rate)}/s`;
}
