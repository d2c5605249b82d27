import { timingSafeEqual } from 'node:crypto';
import { nodePrimitives } from '../Models/node_primitives.ts';
import { rotatingKeys } from './rotating_keys.ts';
import { addressBytes, type Source, sourceBytes } from './source.ts';

const HALF_BYTES = 8;
const PERIOD_MS = 120_000;

/**
 * Proof that a client receives what is sent to its address, asked for before anything costly. Nothing is kept per client. One half is for the
 * address, the other for the address and the port: over HTTP, where a connection has proved the address already, the first half is enough, so the
 * same bytes are good there too.
 */
export type Cookies = { make(source: Source): Uint8Array; check(source: Source, cookie: Uint8Array): boolean };

export function createCookies(now: () => number): Cookies {
  const keys = rotatingKeys({ periodMs: PERIOD_MS, now });
  const half = (key: Uint8Array, bytes: Uint8Array): Uint8Array => nodePrimitives.hmac(key, bytes).subarray(0, HALF_BYTES);
  const under = (key: Uint8Array, source: Source): Uint8Array =>
    Buffer.concat([half(key, addressBytes(source)), half(key, sourceBytes(source))]);
  return {
    make: (source) => under(keys.newest(), source),
    check(source, cookie) {
      const needed = source.via === 'http' ? HALF_BYTES : 2 * HALF_BYTES;
      return keys.all().some((key) => timingSafeEqual(under(key, source).subarray(0, needed), cookie.subarray(0, needed)));
    },
  };
}
