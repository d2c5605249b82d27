import { timingSafeEqual } from 'node:crypto';
import { nodePrimitives } from './node_primitives.ts';
import { rotatingKeys } from './rotating_keys.ts';
import { type Source, sourceBytes } from './source.ts';

const COOKIE_BYTES = 16;
const PERIOD_MS = 120_000;

/** Proof that a client receives what is sent to its address, asked for before anything costly. Nothing is kept per client. */
export type Cookies = { make(source: Source): Uint8Array; check(source: Source, cookie: Uint8Array): boolean };

export function createCookies(now: () => number): Cookies {
  const keys = rotatingKeys({ periodMs: PERIOD_MS, now });
  const under = (key: Uint8Array, source: Source): Uint8Array => nodePrimitives.hmac(key, sourceBytes(source)).subarray(0, COOKIE_BYTES);
  return {
    make: (source) => under(keys.newest(), source),
    check: (source, cookie) => keys.all().some((key) => timingSafeEqual(under(key, source), cookie)),
  };
}
