import { decodeText, decodeTimeMs, encodeText, encodeTimeMs } from './datagram_fields.ts';
import { packFields, TEXTS, unpackFields } from './datagrams.ts';
import type { ErrorCode } from './errors.ts';

/**
 * What a logged-in user asks the daemon to change (datagram CHANGE). Each says what shall be, so that doing it again does no harm. All values
 * are text; `id` is 32 hex digits. Codes are never given to another action.
 */
export const CHANGES = {
  renameDevice: { code: 1, fields: { deviceId: 'id', name: 'text64' } },
  /** Ends all its sessions; what it holds to be known by is worth nothing any more. */
  revokeDevice: { code: 2, fields: { deviceId: 'id' } },
  endSession: { code: 3, fields: { sessionId: 'id' } },
  /** What the user is called, and where mail reaches them; empty: nothing of the kind. */
  setDisplayName: { code: 4, fields: { displayName: 'text255' } },
  setEmail: { code: 5, fields: { email: 'text255' } },
} as const satisfies Record<string, { readonly code: number; readonly fields: Readonly<Record<string, FieldKind>> }>;

type FieldKind = 'id' | 'text64' | 'text255';
export type ChangeKind = keyof typeof CHANGES;
export type Change<K extends ChangeKind = ChangeKind> = {
  [Kind in K]: { readonly kind: Kind } & { readonly [Field in keyof (typeof CHANGES)[Kind]['fields']]: string };
}[K];

/** What came of it. `stale`: a later change of the same session was done before; then nothing is done. On the wire the place in this list. */
const CHANGE_RESULTS = ['done', 'stale', 'not_found', 'name_invalid', 'request_invalid', 'protocol_mismatch'] as const satisfies readonly (
  | ErrorCode
  | 'done'
  | 'stale'
)[];
export type ChangeResult = (typeof CHANGE_RESULTS)[number];
/** `number` of the last change that was done in the session. */
export type ChangeOutcome = { readonly result: ChangeResult; readonly number: number };

type Codec = { readonly bytes: number; encode(value: string): Uint8Array; decode(field: Uint8Array): string | null };
const textCodec = (bytes: number): Codec => ({ bytes: 1 + bytes, encode: (value) => encodeText(value, 1 + bytes), decode: decodeText });
const CODECS: Readonly<Record<FieldKind, Codec>> = {
  id: {
    bytes: 16,
    encode: (value) => Uint8Array.from({ length: 16 }, (_, at) => Number.parseInt(value.slice(2 * at, 2 * at + 2), 16)),
    decode: (field) => Array.from(field, (byte) => byte.toString(16).padStart(2, '0')).join(''),
  },
  text64: textCodec(64),
  text255: textCodec(255),
};

function codecsOf(kind: ChangeKind): [field: string, codec: Codec][] {
  return Object.entries<FieldKind>(CHANGES[kind].fields).map(([field, codec]) => [field, CODECS[codec]]);
}

/** @param number above that of every change before it in this session. @throws RangeError when a text does not fit its field */
export function encodeChange(number: number, change: Change): Uint8Array {
  const body = new Uint8Array(TEXTS.change.body);
  let at = 0;
  for (const [field, codec] of codecsOf(change.kind)) {
    body.set(codec.encode((change as unknown as Readonly<Record<string, string>>)[field] ?? ''), at);
    at += codec.bytes;
  }
  return packFields(TEXTS.change, { number: encodeTimeMs(number), action: Uint8Array.of(CHANGES[change.kind].code), body });
}

/** @returns `change: null` for an action that is not known here; `null` for what no client of ours writes */
export function decodeChange(text: Uint8Array): { readonly number: number; readonly change: Change | null } | null {
  const fields = unpackFields(TEXTS.change, text);
  if (fields === null) return null;
  const number = decodeTimeMs(fields.number);
  if (!Number.isSafeInteger(number)) return null;
  const kind = (Object.keys(CHANGES) as ChangeKind[]).find((one) => CHANGES[one].code === fields.action[0]);
  if (kind === undefined) return { number, change: null };
  const change: Record<string, string> = { kind };
  let at = 0;
  for (const [field, codec] of codecsOf(kind)) {
    const value = codec.decode(fields.body.subarray(at, at + codec.bytes));
    if (value === null) return null;
    change[field] = value;
    at += codec.bytes;
  }
  if (fields.body.subarray(at).some((byte) => byte !== 0)) return null;
  return { number, change: change as unknown as Change };
}

export function encodeOutcome({ result, number }: ChangeOutcome): Uint8Array {
  return packFields(TEXTS.changed, { result: Uint8Array.of(CHANGE_RESULTS.indexOf(result)), number: encodeTimeMs(number) });
}

export function decodeOutcome(text: Uint8Array): ChangeOutcome | null {
  const fields = unpackFields(TEXTS.changed, text);
  const result = CHANGE_RESULTS[fields?.result[0] ?? CHANGE_RESULTS.length];
  return fields === null || result === undefined ? null : { result, number: decodeTimeMs(fields.number) };
}
