import type { ErrorCode } from './errors.ts';

/**
 * The datagrams between client and authentication daemon, byte by byte (docs/PROTOCOL.md, "Datagrams"). Integers are big-endian.
 * A client datagram is exactly `clientBytes` long, zeros after its fields, so a reply is never longer than what it answers.
 */
export const DATAGRAM = { magic: 0x444c, version: 2, clientBytes: 1200, headerBytes: 20, transactionBytes: 16 } as const;

const SEAL_BYTES = 28; // nonce 12, tag 16
const USER_NAME_FIELD = 65; // length 1, UTF-8 and zeros 64
const ID = 16;
const KSF = 6; // memory in KiB 4, iterations 1, parallelism 1
const KEY = 32;
const PROOF = 16;
const CODE = 16; // the secret of an invitation code; zeros: none

/** What is sealed inside a datagram, in order: field and its bytes. */
export const TEXTS = {
  /** Device and proof are zeros for a device that was not given one. */
  hello: { ke1: 96, name: USER_NAME_FIELD, deviceId: ID, deviceProof: PROOF },
  register: { request: 32, name: USER_NAME_FIELD, code: CODE },
  enrol: { record: 192, ksf: KSF, name: USER_NAME_FIELD, code: CODE },
  /** Half-open login, sealed by the daemon to itself. */
  state: { issuedAtMs: 8, userId: ID, counter: ID, record: 32, transcript: 32, opaque: 128 },
  challenge: { ke2: 320, ksf: KSF, state: 8 + ID + ID + 32 + 32 + 128 + SEAL_BYTES },
  registration: { response: 64, ksf: KSF },
  enrolled: { userId: ID },
  finish: { deviceId: ID, deviceName: USER_NAME_FIELD },
  /** What is to be changed in a session, see session_changes.ts; always as long, so that its length says nothing. */
  change: { number: 8, action: 1, body: 768 },
  changed: { result: 1, number: 8 },
  newPassword: { request: 32 },
  /** Zeros in `keepOthers`: all sessions of the user end but `sessionId` and the one it was begun from (zeros: none). */
  changePassword: { record: 192, ksf: KSF, sessionId: ID, parentId: ID, keepOthers: 1 },
} as const satisfies Record<string, Layout>;

/** The fields after the header. The field `rest` of a ticket goes up to the datagram's end. */
const CLIENT = {
  hello: { code: 0x01, fields: { cookie: 16, ephemeral: KEY, sealed: sealedBytes(TEXTS.hello) } },
  register: { code: 0x02, fields: { cookie: 16, ephemeral: KEY, sealed: sealedBytes(TEXTS.register) } },
  enrol: { code: 0x03, fields: { cookie: 16, ephemeral: KEY, sealed: sealedBytes(TEXTS.enrol) } },
  finish: { code: 0x04, fields: { cookie: 16, state: TEXTS.challenge.state, ke3: 64, sealed: sealedBytes(TEXTS.finish) } },
  ack: { code: 0x05, fields: { cookie: 16, timeMs: 8, sessionId: ID, mac: 32 } },
  renew: { code: 0x06, fields: { cookie: 16, timeMs: 8, sessionId: ID, mac: 32 } },
  logout: { code: 0x07, fields: { cookie: 16, timeMs: 8, sessionId: ID, mac: 32 } },
  newPassword: { code: 0x08, fields: { cookie: 16, state: TEXTS.challenge.state, ke3: 64, sealed: sealedBytes(TEXTS.newPassword) } },
  changePassword: { code: 0x09, fields: { cookie: 16, state: TEXTS.challenge.state, ke3: 64, sealed: sealedBytes(TEXTS.changePassword) } },
  change: { code: 0x0c, fields: { cookie: 16, timeMs: 8, sessionId: ID, sealed: sealedBytes(TEXTS.change) } },
  begin: { code: 0x0d, fields: { cookie: 16, timeMs: 8, sessionId: ID, mac: 32 } },
} as const;

const SERVER = {
  retry: { code: 0x81, fields: { cookie: 16, daemonKey: KEY } },
  challenge: { code: 0x82, fields: { sealed: sealedBytes(TEXTS.challenge) } },
  registration: { code: 0x83, fields: { sealed: sealedBytes(TEXTS.registration) } },
  enrolled: { code: 0x84, fields: { sealed: sealedBytes(TEXTS.enrolled) } },
  ticket: { code: 0x85, fields: { rest: 0 } },
  acked: { code: 0x86, fields: { mac: 32 } },
  loggedOut: { code: 0x87, fields: { mac: 32 } },
  busy: { code: 0x88, fields: { retryAfterMs: 4 } },
  error: { code: 0x89, fields: { error: 1 } },
  newPasswordAnswer: { code: 0x8a, fields: { sealed: sealedBytes(TEXTS.registration) } },
  passwordChanged: { code: 0x8b, fields: { sealed: sealedBytes(TEXTS.enrolled) } },
  changed: { code: 0x8d, fields: { sealed: sealedBytes(TEXTS.changed) } },
  ended: { code: 0x8e, fields: { reason: 1, mac: 32 } },
} as const;

type Layout = { readonly [field: string]: number };
export type Fields<L extends Layout> = { readonly [K in keyof L]: Uint8Array };
type Datagrams<T extends { readonly [kind: string]: { readonly fields: Layout } }> = {
  [K in keyof T]: { readonly kind: K; readonly transaction: Uint8Array } & Fields<T[K]['fields']>;
};
export type ClientKind = keyof typeof CLIENT;
export type ServerKind = keyof typeof SERVER;
export type ClientDatagram<K extends ClientKind = ClientKind> = Datagrams<typeof CLIENT>[K];
export type ServerDatagram<K extends ServerKind = ServerKind> = Datagrams<typeof SERVER>[K];

/** In `busy`: not by waiting. */
export const NEVER_MS = 0xffff_ffff;

/** What the byte of an `error` datagram says. `login_expired`: the half-open login is too old or of an earlier daemon; begin again. */
const WIRE_ERRORS = [
  'credentials_wrong',
  'name_taken',
  'name_invalid',
  'registration_closed',
  'session_unknown',
  'protocol_mismatch',
  'login_expired',
  'invite_invalid',
] as const satisfies readonly (ErrorCode | 'login_expired')[];
export type WireError = (typeof WIRE_ERRORS)[number];

function sealedBytes(layout: Layout): number {
  return sizeOf(layout) + SEAL_BYTES;
}

function sizeOf(layout: Layout): number {
  let total = 0;
  for (const bytes of Object.values(layout)) total += bytes;
  return total;
}

/** Fields one after another. Programmer's mistake (throws RangeError) when a field has another length than its layout says. */
export function packFields<L extends Layout>(layout: L, fields: Fields<L>): Uint8Array {
  const bytes = new Uint8Array(sizeOf(layout));
  let at = 0;
  for (const [name, length] of Object.entries(layout)) {
    const field = fields[name];
    if (field?.length !== length) throw new RangeError(`field ${name} must have ${length} bytes`);
    bytes.set(field, at);
    at += length;
  }
  return bytes;
}

/** @returns views into `bytes`, or `null` if the length is another */
export function unpackFields<L extends Layout>(layout: L, bytes: Uint8Array): Fields<L> | null {
  if (bytes.length !== sizeOf(layout)) return null;
  const fields: Record<string, Uint8Array> = {};
  let at = 0;
  for (const [name, length] of Object.entries(layout)) {
    fields[name] = bytes.subarray(at, at + length);
    at += length;
  }
  return fields as Fields<L>;
}

/** Magic 2, version 1, type 1, transaction id 16. */
function writeHeader(bytes: Uint8Array, code: number, transaction: Uint8Array): void {
  if (transaction.length !== DATAGRAM.transactionBytes) throw new RangeError('a transaction id has 16 bytes');
  bytes[0] = DATAGRAM.magic >> 8;
  bytes[1] = DATAGRAM.magic & 0xff;
  bytes[2] = DATAGRAM.version;
  bytes[3] = code;
  bytes.set(transaction, 4);
}

/** The first 20 bytes: what is authenticated with the sealed part of the datagram. */
export function headerOf(kind: ClientKind | ServerKind, transaction: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(DATAGRAM.headerBytes);
  writeHeader(bytes, kind in CLIENT ? CLIENT[kind as ClientKind].code : SERVER[kind as ServerKind].code, transaction);
  return bytes;
}

export function encodeClient<K extends ClientKind>(
  kind: K,
  transaction: Uint8Array,
  fields: Fields<(typeof CLIENT)[K]['fields']>,
): Uint8Array {
  const bytes = new Uint8Array(DATAGRAM.clientBytes);
  writeHeader(bytes, CLIENT[kind].code, transaction);
  bytes.set(packFields(CLIENT[kind].fields, fields), DATAGRAM.headerBytes);
  return bytes;
}

/** The bytes before the last field, which is sealed or a proof: they are authenticated by it. */
export function beforeLast(kind: ClientKind, datagram: Uint8Array): Uint8Array {
  const lengths = Object.values(CLIENT[kind].fields);
  return datagram.subarray(0, DATAGRAM.headerBytes + lengths.slice(0, -1).reduce((total, length) => total + length, 0));
}

/** A client datagram whose last field is made for what stands before it. @param makeLast may give nothing: then the field is zeros */
export function encodeAuthenticated<K extends ClientKind>(
  kind: K,
  transaction: Uint8Array,
  fields: Omit<Fields<(typeof CLIENT)[K]['fields']>, 'sealed' | 'mac'>,
  makeLast: (before: Uint8Array) => Uint8Array,
): Uint8Array {
  const layout: Layout = CLIENT[kind].fields;
  const last = 'mac' in layout ? 'mac' : 'sealed';
  const empty: Record<string, Uint8Array> = { ...fields, [last]: new Uint8Array(layout[last] ?? 0) };
  const bytes = encodeClient(kind, transaction, empty as Fields<(typeof CLIENT)[K]['fields']>);
  const before = beforeLast(kind, bytes);
  bytes.set(makeLast(before), before.length);
  return bytes;
}

export function encodeServer<K extends ServerKind>(
  kind: K,
  transaction: Uint8Array,
  fields: Fields<(typeof SERVER)[K]['fields']>,
): Uint8Array {
  const body = kind === 'ticket' ? (fields as { rest: Uint8Array }).rest : packFields(SERVER[kind].fields, fields);
  const bytes = new Uint8Array(DATAGRAM.headerBytes + body.length);
  if (bytes.length > DATAGRAM.clientBytes) throw new RangeError('a reply must not be longer than its request');
  writeHeader(bytes, SERVER[kind].code, transaction);
  bytes.set(body, DATAGRAM.headerBytes);
  return bytes;
}

function byCode<K extends string>(table: { readonly [kind in K]: { readonly code: number } }): ReadonlyMap<number, K> {
  return new Map((Object.keys(table) as K[]).map((kind) => [table[kind].code, kind]));
}
const CLIENT_KINDS = byCode<ClientKind>(CLIENT);
const SERVER_KINDS = byCode<ServerKind>(SERVER);

function hasMagic(bytes: Uint8Array): boolean {
  return bytes[0] === DATAGRAM.magic >> 8 && bytes[1] === (DATAGRAM.magic & 0xff);
}

function transactionOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(4, DATAGRAM.headerBytes);
}

/**
 * @returns the datagram; `other_version` for one that is a client's but not of this version; `null` for everything else, which gets no
 * answer: wrong length, magic or type, a server's datagram, anything but zeros after the fields
 */
export function parseClient(
  bytes: Uint8Array,
): ClientDatagram | { readonly kind: 'other_version'; readonly transaction: Uint8Array } | null {
  if (bytes.length !== DATAGRAM.clientBytes || !hasMagic(bytes)) return null;
  const code = bytes[3] ?? 0;
  if (code >= 0x80) return null;
  const transaction = transactionOf(bytes);
  if (bytes[2] !== DATAGRAM.version) return { kind: 'other_version', transaction };
  const kind = CLIENT_KINDS.get(code);
  if (kind === undefined) return null;
  const end = DATAGRAM.headerBytes + sizeOf(CLIENT[kind].fields);
  for (let i = end; i < bytes.length; i += 1) if (bytes[i] !== 0) return null;
  const fields = unpackFields(CLIENT[kind].fields as Layout, bytes.subarray(DATAGRAM.headerBytes, end));
  return fields === null ? null : ({ kind, transaction, ...fields } as ClientDatagram);
}

/** @returns `null` for what is not a well-formed reply; an `error` is understood from every version */
export function parseServer(bytes: Uint8Array): ServerDatagram | null {
  if (bytes.length < DATAGRAM.headerBytes || bytes.length > DATAGRAM.clientBytes || !hasMagic(bytes)) return null;
  const kind = SERVER_KINDS.get(bytes[3] ?? 0);
  if (kind === undefined || (bytes[2] !== DATAGRAM.version && kind !== 'error')) return null;
  const body = bytes.subarray(DATAGRAM.headerBytes);
  const transaction = transactionOf(bytes);
  if (kind === 'ticket') return { kind, transaction, rest: body };
  const fields = unpackFields(SERVER[kind].fields as Layout, body);
  return fields === null ? null : ({ kind, transaction, ...fields } as ServerDatagram);
}

export function encodeError(transaction: Uint8Array, error: WireError): Uint8Array {
  return encodeServer('error', transaction, { error: Uint8Array.of(WIRE_ERRORS.indexOf(error) + 1) });
}

export function decodeWireError(field: Uint8Array): WireError | null {
  return WIRE_ERRORS[(field[0] ?? 0) - 1] ?? null;
}

/** Every kind with its type byte and fields, for what has to know them all. */
export const LAYOUTS = { client: CLIENT, server: SERVER } as const;
