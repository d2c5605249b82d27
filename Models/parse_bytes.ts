import { AppError } from './errors.ts';

export const BYTES_OF: Readonly<Record<string, number>> = { '': 1, K: 1000, M: 1_000_000, G: 1_000_000_000, T: 1_000_000_000_000 };

/**
 * A size as it is typed: `500K`, `1.5M`, `2GB`, `800000`.
 * @returns whole bytes
 * @throws AppError `request_invalid`
 */
export function parseBytes(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)([KMGT]?)B?$/i.exec(text) ?? [];
  const bytes = Math.round(Number(digits) * (BYTES_OF[unit.toUpperCase()] ?? 1));
  if (digits === undefined || !Number.isSafeInteger(bytes))
    throw new AppError('request_invalid', `"${text}" is no size like 500K, 10M or 2GB`);
  return bytes;
}
