import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeGrant, decodeKsf, decodeText, encodeGrant, encodeKsf, encodeText, encodeTimeMs, encodeUint32 } from './datagram_fields.ts';
import {
  beforeLast,
  DATAGRAM,
  decodeWireError,
  encodeAuthenticated,
  encodeClient,
  encodeError,
  encodeServer,
  packFields,
  parseClient,
  parseServer,
  TEXTS,
  unpackFields,
} from './datagrams.ts';
import { encodeEndReason } from './session_ends.ts';

const TRANSACTION = Uint8Array.from({ length: 16 }, (_, n) => n);
const HEADER_TAIL = '000102030405060708090a0b0c0d0e0f';
const fill = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const repeated = (value: string, bytes: number): string => value.repeat(bytes);

/** The datagrams of docs/PROTOCOL.md, without the zeros at the end of a client's. */
const GOLDEN: readonly [bytes: Uint8Array, hex: string][] = [
  [
    encodeClient('hello', TRANSACTION, { cookie: fill(16, 1), ephemeral: fill(32, 2), sealed: fill(221, 3) }),
    `444c0201${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 32)}${repeated('03', 221)}`,
  ],
  [
    encodeClient('register', TRANSACTION, { cookie: fill(16, 1), ephemeral: fill(32, 2), sealed: fill(141, 3) }),
    `444c0202${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 32)}${repeated('03', 141)}`,
  ],
  [
    encodeClient('enrol', TRANSACTION, { cookie: fill(16, 1), ephemeral: fill(32, 2), sealed: fill(307, 3) }),
    `444c0203${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 32)}${repeated('03', 307)}`,
  ],
  [
    encodeClient('finish', TRANSACTION, { cookie: fill(16, 1), state: fill(260, 2), ke3: fill(64, 3), sealed: fill(109, 4) }),
    `444c0204${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 260)}${repeated('03', 64)}${repeated('04', 109)}`,
  ],
  ...(['ack', 'renew', 'logout'] as const).map((kind, n): [Uint8Array, string] => [
    encodeClient(kind, TRANSACTION, { cookie: fill(16, 1), timeMs: fill(8, 2), sessionId: fill(16, 3), mac: fill(32, 4) }),
    `444c020${5 + n}${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 8)}${repeated('03', 16)}${repeated('04', 32)}`,
  ]),
  ...(
    [
      ['newPassword', '8', 60],
      ['changePassword', '9', 259],
    ] as const
  ).map(([kind, code, bytes]): [Uint8Array, string] => [
    encodeClient(kind, TRANSACTION, { cookie: fill(16, 1), state: fill(260, 2), ke3: fill(64, 3), sealed: fill(bytes, 4) }),
    `444c020${code}${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 260)}${repeated('03', 64)}${repeated('04', bytes)}`,
  ]),
  [
    encodeClient('change', TRANSACTION, { cookie: fill(16, 1), timeMs: fill(8, 2), sessionId: fill(16, 3), sealed: fill(805, 4) }),
    `444c020c${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 8)}${repeated('03', 16)}${repeated('04', 805)}`,
  ],
  [
    encodeClient('begin', TRANSACTION, { cookie: fill(16, 1), timeMs: fill(8, 2), sessionId: fill(16, 3), mac: fill(32, 4) }),
    `444c020d${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 8)}${repeated('03', 16)}${repeated('04', 32)}`,
  ],
  [
    encodeServer('retry', TRANSACTION, { cookie: fill(16, 1), daemonKey: fill(32, 2) }),
    `444c0281${HEADER_TAIL}${repeated('01', 16)}${repeated('02', 32)}`,
  ],
  [encodeServer('challenge', TRANSACTION, { sealed: fill(614, 1) }), `444c0282${HEADER_TAIL}${repeated('01', 614)}`],
  [encodeServer('registration', TRANSACTION, { sealed: fill(98, 1) }), `444c0283${HEADER_TAIL}${repeated('01', 98)}`],
  [encodeServer('enrolled', TRANSACTION, { sealed: fill(44, 1) }), `444c0284${HEADER_TAIL}${repeated('01', 44)}`],
  [encodeServer('ticket', TRANSACTION, { rest: fill(5, 1) }), `444c0285${HEADER_TAIL}0101010101`],
  [encodeServer('acked', TRANSACTION, { mac: fill(32, 1) }), `444c0286${HEADER_TAIL}${repeated('01', 32)}`],
  [encodeServer('loggedOut', TRANSACTION, { mac: fill(32, 1) }), `444c0287${HEADER_TAIL}${repeated('01', 32)}`],
  [encodeServer('busy', TRANSACTION, { retryAfterMs: encodeUint32(250) }), `444c0288${HEADER_TAIL}000000fa`],
  [encodeError(TRANSACTION, 'login_expired'), `444c0289${HEADER_TAIL}07`],
  [encodeServer('newPasswordAnswer', TRANSACTION, { sealed: fill(98, 1) }), `444c028a${HEADER_TAIL}${repeated('01', 98)}`],
  [encodeServer('passwordChanged', TRANSACTION, { sealed: fill(44, 1) }), `444c028b${HEADER_TAIL}${repeated('01', 44)}`],
  [encodeServer('changed', TRANSACTION, { sealed: fill(37, 1) }), `444c028d${HEADER_TAIL}${repeated('01', 37)}`],
  [
    encodeServer('ended', TRANSACTION, { reason: encodeEndReason('revoked'), mac: fill(32, 1) }),
    `444c028e${HEADER_TAIL}04${repeated('01', 32)}`,
  ],
];

test('every datagram has the bytes that the protocol says, and is read back', () => {
  for (const [bytes, expected] of GOLDEN) {
    const isClient = (bytes[3] ?? 0) < 0x80;
    assert.equal(hex(bytes), isClient ? expected.padEnd(2 * DATAGRAM.clientBytes, '0') : expected);
    assert.ok(isClient ? parseClient(bytes) !== null : parseServer(bytes) !== null);
    assert.equal(isClient ? parseServer(bytes) : parseClient(bytes), null);
  }
});

test('a client datagram with anything but zeros at its end is none', () => {
  for (const [bytes] of GOLDEN.filter(([golden]) => golden.length === DATAGRAM.clientBytes)) {
    const changed = Uint8Array.from(bytes);
    changed[DATAGRAM.clientBytes - 1] = 1;
    assert.equal(parseClient(changed), null);
  }
});

test('a reply of another length than its kind has is none', () => {
  for (const [bytes] of GOLDEN.filter(([golden]) => golden.length < DATAGRAM.clientBytes && golden[3] !== 0x85)) {
    assert.equal(parseServer(bytes.subarray(0, -1)), null);
    assert.equal(parseServer(Buffer.concat([bytes, Buffer.alloc(1)])), null);
  }
});

test('a datagram of another version is told apart from rubbish; an error is understood from every version', () => {
  const [hello] = GOLDEN[0] ?? [];
  const newer = Uint8Array.from(hello ?? []);
  newer[2] = 9;
  assert.equal(parseClient(newer)?.kind, 'other_version');
  const error = encodeError(TRANSACTION, 'protocol_mismatch');
  error[2] = 9;
  const parsed = parseServer(error);
  assert.equal(parsed?.kind === 'error' && decodeWireError(parsed.error), 'protocol_mismatch');
  const retry = encodeServer('retry', TRANSACTION, { cookie: fill(16, 1), daemonKey: fill(32, 2) });
  retry[2] = 9;
  assert.equal(parseServer(retry), null);
});

test('a sealed field is sealed for exactly what stands before it', () => {
  let before: Uint8Array | undefined;
  const datagram = encodeAuthenticated('finish', TRANSACTION, { cookie: fill(16, 1), state: fill(260, 2), ke3: fill(64, 3) }, (bytes) => {
    before = Uint8Array.from(bytes);
    return fill(109, 4);
  });
  assert.deepEqual(before, Uint8Array.from(beforeLast('finish', datagram)));
  assert.equal(before?.length, 20 + 16 + 260 + 64);
});

test('fields of another length are a programmer’s mistake when written and nothing when read', () => {
  assert.throws(() => packFields(TEXTS.registration, { response: fill(63, 0), ksf: fill(6, 0) }), RangeError);
  assert.equal(unpackFields(TEXTS.registration, fill(69, 0)), null);
  assert.throws(() => encodeServer('ticket', TRANSACTION, { rest: fill(1181, 0) }), RangeError);
});

test('text is one length byte, UTF-8 and zeros; nothing else is text', () => {
  assert.equal(hex(encodeText('é', 5)), '02c3a90000');
  assert.equal(decodeText(encodeText('x'.repeat(64))), 'x'.repeat(64));
  assert.throws(() => encodeText('x'.repeat(65)), RangeError);
  for (const bytes of ['02c3a90001', '05c3a90000', '01c3000000', '']) assert.equal(decodeText(Buffer.from(bytes, 'hex')), null);
});

test('numbers are big-endian', () => {
  assert.equal(hex(encodeKsf({ memoryKiB: 65_536, iterations: 3, parallelism: 4 })), '000100000304');
  assert.deepEqual(decodeKsf(Buffer.from('000100000304', 'hex')), { memoryKiB: 65_536, iterations: 3, parallelism: 4 });
  assert.equal(hex(encodeTimeMs(1_800_000_000_000)), '000001a3185c5000');
});

test('a grant is read back as it was written, and anything shorter is none', () => {
  const grant = {
    serverTimeMs: 1_800_000_000_000,
    userId: fill(16, 1),
    deviceId: fill(16, 2),
    sessionId: fill(16, 3),
    renewalSecret: fill(32, 4),
    deviceProof: fill(16, 6),
    idleS: 100,
    httpPort: 4811,
    userName: 'zoë',
    publicUrl: null,
    fingerprints: [fill(32, 5)],
    ticket: 'a.b.c',
  };
  const bytes = encodeGrant(grant);
  assert.deepEqual(decodeGrant(bytes), grant);
  assert.deepEqual(decodeGrant(encodeGrant({ ...grant, publicUrl: 'https://example.org' }))?.publicUrl, 'https://example.org');
  for (let length = 0; length < bytes.length - grant.ticket.length; length += 1) assert.equal(decodeGrant(bytes.subarray(0, length)), null);
});
