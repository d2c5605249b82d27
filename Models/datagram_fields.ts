import { joinBytes } from './frames.ts';

/** How single values stand in the fields of a datagram. Decoders give `null` for what no encoder writes. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Parameters of argon2id, version 1.3. */
export type Ksf = { readonly memoryKiB: number; readonly iterations: number; readonly parallelism: number };

/** What the daemon tells new accounts to use. */
export const KSF_DEFAULT: Ksf = { memoryKiB: 64 * 1024, iterations: 3, parallelism: 4 };
/** Below this a client refuses: a daemon must not be able to make guessing cheap. */
export const KSF_FLOOR: Ksf = { memoryKiB: 19 * 1024, iterations: 2, parallelism: 1 };
/** Above this a client refuses: a daemon must not be able to exhaust it. */
export const KSF_CEILING: Ksf = { memoryKiB: 1024 * 1024, iterations: 16, parallelism: 16 };

export function encodeKsf({ memoryKiB, iterations, parallelism }: Ksf): Uint8Array {
  const bytes = new Uint8Array(6);
  new DataView(bytes.buffer).setUint32(0, memoryKiB);
  bytes[4] = iterations;
  bytes[5] = parallelism;
  return bytes;
}

export function decodeKsf(bytes: Uint8Array): Ksf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 6);
  return { memoryKiB: view.getUint32(0), iterations: view.getUint8(4), parallelism: view.getUint8(5) };
}

/** One byte of length, UTF-8, zeros up to `fieldBytes`. @throws RangeError if it does not fit */
export function encodeText(text: string, fieldBytes = 65): Uint8Array {
  const utf8 = encoder.encode(text);
  if (utf8.length > Math.min(255, fieldBytes - 1)) throw new RangeError('the text does not fit its field');
  const bytes = new Uint8Array(fieldBytes);
  bytes[0] = utf8.length;
  bytes.set(utf8, 1);
  return bytes;
}

export function decodeText(field: Uint8Array): string | null {
  const end = 1 + (field[0] ?? 0);
  if (end > field.length || field.subarray(end).some((byte) => byte !== 0)) return null;
  try {
    return decoder.decode(field.subarray(1, end));
  } catch {
    return null;
  }
}

export function encodeTimeMs(timeMs: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(timeMs));
  return bytes;
}

export function decodeTimeMs(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
}

export function encodeUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

export function decodeUint32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}

/** What a TICKET datagram holds once it is opened. */
export type Grant = {
  readonly serverTimeMs: number;
  readonly userId: Uint8Array; // 16 bytes, as the other ids
  readonly deviceId: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly renewalSecret: Uint8Array; // 32 bytes
  readonly deviceProof: Uint8Array; // 16 bytes: shows at the next login that this device is known
  readonly idleS: number; // of a session at a prompt: it ends when nothing is done in it for so long; 0: it does not
  readonly httpPort: number;
  readonly userName: string;
  readonly publicUrl: string | null; // at most 255 bytes
  /** SHA-256 of the HTTPS certificates to pin; none while the server speaks plain HTTP. At most 4. */
  readonly fingerprints: readonly Uint8Array[];
  readonly ticket: string; // JWT
};

const GRANT_FIXED_BYTES = 8 + 16 + 16 + 16 + 32 + 16 + 4 + 2;

/** Fixed part, then user name, public URL (one byte of length each), count of fingerprints and 32 bytes each, then the ticket to the end. */
export function encodeGrant(grant: Grant): Uint8Array {
  const fixed = [encodeTimeMs(grant.serverTimeMs), grant.userId, grant.deviceId, grant.sessionId, grant.renewalSecret, grant.deviceProof];
  const name = encoder.encode(grant.userName);
  const url = encoder.encode(grant.publicUrl ?? '');
  if (name.length > 255 || url.length > 255 || grant.fingerprints.length > 4) throw new RangeError('the grant does not fit its fields');
  const port = Uint8Array.of(grant.httpPort >> 8, grant.httpPort & 0xff);
  const parts = [...fixed, encodeUint32(grant.idleS), port, Uint8Array.of(name.length), name, Uint8Array.of(url.length), url];
  parts.push(Uint8Array.of(grant.fingerprints.length), ...grant.fingerprints, encoder.encode(grant.ticket));
  return joinBytes(parts);
}

export function decodeGrant(bytes: Uint8Array): Grant | null {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new RangeError('the grant is too short');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const byte = (): number => take(1)[0] ?? 0;
  if (bytes.length < GRANT_FIXED_BYTES) return null;
  try {
    const serverTimeMs = decodeTimeMs(take(8));
    const [userId, deviceId, sessionId, renewalSecret, deviceProof] = [take(16), take(16), take(16), take(32), take(16)];
    const idleS = decodeUint32(take(4));
    const httpPort = byte() * 256 + byte();
    const userName = decoder.decode(take(byte()));
    const publicUrl = decoder.decode(take(byte())) || null;
    const fingerprints = Array.from({ length: byte() }, () => take(32));
    const ticket = decoder.decode(take(bytes.length - at));
    const ids = { serverTimeMs, userId, deviceId, sessionId };
    return { ...ids, renewalSecret, deviceProof, idleS, httpPort, userName, publicUrl, fingerprints, ticket };
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null;
    throw error;
  }
}
