const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Powers of a thousand, three digits: `999 B`, `1.5 kB`, `12.3 MB`. @param bytes not negative */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}
