import { isIPv6 } from 'node:net';

/** Where a datagram came from. */
export type Source = { readonly address: string; readonly port: number };

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : (address.split('%')[0] ?? address);
}

export function isLoopback(source: Source): boolean {
  const address = plainAddress(source.address);
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** Whom to count: an IPv4 address, or the /64 that one IPv6 subscriber has. */
export function sourceGroup(source: Source): string {
  const address = plainAddress(source.address);
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...middle, ...right].slice(0, 4).join(':');
}

export function sourceBytes(source: Source): Uint8Array {
  return Buffer.from(`${source.address}|${source.port}`);
}
