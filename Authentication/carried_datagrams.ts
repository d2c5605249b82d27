import { encodeAnswer, openQuestion } from '../Models/carried.ts';
import { nodePrimitives as p } from '../Models/node_primitives.ts';
import type { Source } from './source.ts';

/** A datagram that came to the HTTP server and was brought here by it. */
export type Carried = { readonly datagram: Uint8Array; readonly source: Source; answer(reply: Uint8Array | null): Uint8Array };
/** @returns `null` for what is none, or not the server's: silence */
export type OpenCarried = (bytes: Uint8Array) => Carried | null;

/**
 * Takes what the server carries. Said again within its ten seconds it gets the same answer, as any datagram does, and that is shorter than what was
 * said: who can read it on this machine's own network gains nothing by it.
 */
export function carriedDatagrams(key: Uint8Array, now: () => number): OpenCarried {
  return (bytes) => {
    const question = openQuestion(p, key, bytes, now());
    if (question === null) return null;
    const { id, address, datagram } = question;
    return {
      datagram,
      source: { address, port: 0, via: 'http' },
      answer: (reply) => encodeAnswer(p, key, { id, reply }),
    };
  };
}
