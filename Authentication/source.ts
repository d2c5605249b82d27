import { addressGroup, isLoopbackAddress, plainAddress } from '../Models/addresses.ts';
import type { ClientDatagram } from '../Models/datagrams.ts';

/** Where a datagram came from. `via`: the HTTP server brought it, and the address is that of its client; there is no port then. */
export type Source = { readonly address: string; readonly port: number; readonly via?: 'http' };

/** A datagram that came: what it says, its bytes as they were, and where from. */
export type Incoming<K extends ClientDatagram['kind']> = {
  readonly datagram: ClientDatagram<K>;
  readonly bytes: Uint8Array;
  readonly source: Source;
};

/** What was carried never counts: whatever stands before the HTTP server on this machine would make all its clients local. */
export function isLoopback(source: Source): boolean {
  return source.via === undefined && isLoopbackAddress(source.address);
}

/** Whom to count. */
export function sourceGroup(source: Source): string {
  return addressGroup(source.address);
}

/** The same for both ways in. */
export function addressBytes(source: Source): Uint8Array {
  return Buffer.from(plainAddress(source.address));
}

export function sourceBytes(source: Source): Uint8Array {
  return Buffer.from(`${plainAddress(source.address)}|${source.via ?? source.port}`);
}
