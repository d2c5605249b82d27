import { decodeText, decodeTimeMs, encodeText, encodeTimeMs } from './datagram_fields.ts';
import { DATAGRAM } from './datagrams.ts';
import { joinBytes } from './frames.ts';
import type { Primitives } from './handshake.ts';

/**
 * How the HTTP server hands a client's datagram to the daemon, and the answer back, on their own machine (docs/PROTOCOL.md, "A way in without UDP").
 * Both are authenticated under a key that only the two have.
 * Question: magic 2, version 1, kind 1, id 16, time in ms 8, the client's address as text 1+45, tag 32, datagram 1200.
 * Answer: magic 2, version 1, kind 1, id 16, tag 32, then what the daemon says, up to 1200 bytes; nothing for silence.
 */
const MAGIC = [0x44, 0x43, 1] as const;
const KIND = { question: 0x01, answer: 0x81 } as const;
const ADDRESS_BYTES = 46;
const TAG_BYTES = 32;
const ID_AT = 4;
const ID_BYTES = 16;
const TIME_AT = ID_AT + ID_BYTES;
const ADDRESS_AT = TIME_AT + 8;
const QUESTION_TAG_AT = ADDRESS_AT + ADDRESS_BYTES;
const QUESTION_HEAD_BYTES = QUESTION_TAG_AT + TAG_BYTES;
const QUESTION_BYTES = QUESTION_HEAD_BYTES + DATAGRAM.clientBytes;
const ANSWER_TAG_AT = TIME_AT;
const ANSWER_HEAD_BYTES = ANSWER_TAG_AT + TAG_BYTES;

/** How old a question may be: both ends read one clock. */
const AGE_MS_MAX = 10_000;

type Hmac = Pick<Primitives, 'hmac'>;

export type Question = {
  readonly id: Uint8Array; // 16 bytes, new for each
  readonly address: string; // of the client
  readonly timeMs: number;
  readonly datagram: Uint8Array;
};

function sealed(p: Hmac, key: Uint8Array, head: readonly Uint8Array[], rest: Uint8Array): Uint8Array {
  return joinBytes([...head, p.hmac(key, ...head, rest), rest]);
}

/** @returns whether the tag at `at` is that of all around it; looks at every byte of it whatever they are */
function isGenuine(p: Hmac, key: Uint8Array, bytes: Uint8Array, at: number): boolean {
  const expected = p.hmac(key, bytes.subarray(0, at), bytes.subarray(at + TAG_BYTES));
  let difference = 0;
  for (let i = 0; i < TAG_BYTES; i += 1) difference |= (expected[i] ?? 0) ^ (bytes[at + i] ?? 0);
  return difference === 0;
}

function isOfKind(bytes: Uint8Array, kind: number): boolean {
  return bytes[0] === MAGIC[0] && bytes[1] === MAGIC[1] && bytes[2] === MAGIC[2] && bytes[3] === kind;
}

/** @throws RangeError for an address that no network has */
export function encodeQuestion(p: Hmac, key: Uint8Array, { id, address, timeMs, datagram }: Question): Uint8Array {
  const head = [Uint8Array.of(...MAGIC, KIND.question), id, encodeTimeMs(timeMs), encodeText(address, ADDRESS_BYTES)];
  return sealed(p, key, head, datagram);
}

/** Cheap for what is none. @returns `null` for everything that the server did not just make, which gets no answer */
export function openQuestion(p: Hmac, key: Uint8Array, bytes: Uint8Array, nowMs: number): Question | null {
  if (bytes.length !== QUESTION_BYTES || !isOfKind(bytes, KIND.question)) return null;
  const timeMs = decodeTimeMs(bytes.subarray(TIME_AT, ADDRESS_AT));
  if (Math.abs(nowMs - timeMs) > AGE_MS_MAX || !isGenuine(p, key, bytes, QUESTION_TAG_AT)) return null;
  const address = decodeText(bytes.subarray(ADDRESS_AT, QUESTION_TAG_AT));
  if (address === null) return null;
  return { id: bytes.subarray(ID_AT, TIME_AT), address, timeMs, datagram: bytes.subarray(QUESTION_HEAD_BYTES) };
}

/** @param reply `null` for silence */
export function encodeAnswer(p: Hmac, key: Uint8Array, { id, reply }: { id: Uint8Array; reply: Uint8Array | null }): Uint8Array {
  return sealed(p, key, [Uint8Array.of(...MAGIC, KIND.answer), id], reply ?? new Uint8Array(0));
}

/** @returns `null` for what the daemon did not make */
export function openAnswer(p: Hmac, key: Uint8Array, bytes: Uint8Array): { id: Uint8Array; reply: Uint8Array | null } | null {
  if (bytes.length < ANSWER_HEAD_BYTES || bytes.length > ANSWER_HEAD_BYTES + DATAGRAM.clientBytes) return null;
  if (!isOfKind(bytes, KIND.answer) || !isGenuine(p, key, bytes, ANSWER_TAG_AT)) return null;
  const reply = bytes.subarray(ANSWER_HEAD_BYTES);
  return { id: bytes.subarray(ID_AT, TIME_AT), reply: reply.length === 0 ? null : reply };
}
