/** Network addresses as they are counted. */

/** Without the IPv6 form of an IPv4 address, and without a zone. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : (address.split('%')[0] ?? address);
}

/** @param address numeric, as a socket tells it */
export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address);
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** Whom to count: an IPv4 address, or the /64 that one IPv6 subscriber has. */
export function addressGroup(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...middle, ...right].slice(0, 4).join(':');
}

/** Of `DRIFTLESS_TLS`: HTTPS where it must be, or everywhere. Nothing turns it off away from loopback. */
export const HTTPS_MODES = ['auto', 'on'] as const;

/** Whether the server that listens on `host` speaks HTTPS; daemon and server must find the same. */
export function speaksHttps({ mode, host }: { readonly mode: (typeof HTTPS_MODES)[number]; readonly host: string }): boolean {
  return mode === 'on' || !isLoopbackName(host);
}

/** @param host a name or address as in a configuration: IPv6 without brackets */
export function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
