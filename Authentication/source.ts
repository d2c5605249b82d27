import { addressGroup, plainAddress } from '../Models/addresses.ts';

/** Where a datagram came from. */
export type Source = { readonly address: string; readonly port: number };

export function isLoopback(source: Source): boolean {
  const address = plainAddress(source.address);
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** Whom to count. */
export function sourceGroup(source: Source): string {
  return addressGroup(source.address);
}

export function sourceBytes(source: Source): Uint8Array {
  return Buffer.from(`${source.address}|${source.port}`);
}
