import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { isIPv6 } from 'node:net';

const LITTLE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function ipv6Bytes(address: string): number[] {
  const text = address.split('%')[0] ?? '';
  const [head = '', tail] = text.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const middle = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => 0);
  return [...left, ...middle, ...right].flatMap((group) => [group >> 8, group & 0xff]);
}

/** As the kernel prints it: words of four bytes in the machine's order, then the port. */
function kernelAddress({ address, port }: AddressInfo): string {
  const bytes = isIPv6(address) ? ipv6Bytes(address) : address.split('.').map(Number);
  let hex = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    hex += Buffer.from(LITTLE ? word.reverse() : word).toString('hex');
  }
  return `${hex}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
}

/**
 * How many datagrams the kernel threw away since this UDP socket was bound, because its buffer was full: nothing else tells of them.
 * @returns `null` where the kernel does not say, which is everywhere but on Linux
 */
export async function kernelDrops(bound: AddressInfo): Promise<number | null> {
  let table: string;
  try {
    table = await readFile(isIPv6(bound.address) ? '/proc/net/udp6' : '/proc/net/udp', 'utf8');
  } catch {
    return null; // there is no such table
  }
  const local = kernelAddress(bound);
  const row = table.split('\n').find((line) => line.trim().split(/\s+/)[1] === local);
  const drops = Number(row?.trim().split(/\s+/).at(-1));
  return Number.isInteger(drops) ? drops : null;
}
