import { addressGroup, isLoopbackAddress } from '../Models/addresses.ts';

/** Where a datagram came from. */
export type Source = { readonly address: string; readonly port: number };

export function isLoopback(source: Source): boolean {
  return isLoopbackAddress(source.address);
}

/** Whom to count. */
export function sourceGroup(source: Source): string {
  return addressGroup(source.address);
}

export function sourceBytes(source: Source): Uint8Array {
  return Buffer.from(`${source.address}|${source.port}`);
}
