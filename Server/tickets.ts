import { hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { CryptoKey, JWTPayload } from 'jose';
import { decodeProtectedHeader } from 'jose/decode/protected_header';
import { JWTExpired } from 'jose/errors';
import { jwtVerify } from 'jose/jwt/verify';
import { importJWK } from 'jose/key/import';
import { z } from 'zod';
import { AppError } from '../Models/errors.ts';
import { LIMITS } from '../Models/limits.ts';
import { TICKET, TicketClaims } from '../Models/ticket.ts';
import type { Principal } from '../Storage/metadata.ts';

export type Session = {
  readonly principal: Principal;
  readonly claims: TicketClaims;
  readonly keyId: string; // of the key that signed the ticket
};

const LOOK_AGAIN_MS = 100;

/** The public half alone: were a private part in the file, it would be dropped here. */
const KeySet = z.object({
  keys: z.array(z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().length(43), kid: z.string().min(1).max(128) })),
  withdrawn: z.array(z.string()).default([]), // ids of keys that somebody else may have
});
type PublicKey = z.infer<typeof KeySet>['keys'][number];

/** The daemon's public keys. The file may not be there yet, and changes when the daemon makes a new key. */
export class TicketKeys {
  readonly #path: string;
  readonly #nowMs: () => number;
  #keys: ReadonlyMap<string, CryptoKey> = new Map();
  #published: readonly PublicKey[] = [];
  #withdrawn: ReadonlySet<string> = new Set();
  #stamp = '';
  #nextReadMs = 0;
  #reading: Promise<void> | undefined;

  /** Counts the sets read so far: what was verified with an older set must be verified again. */
  generation = 0;

  constructor(path: string, nowMs: () => number) {
    this.#path = path;
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Those that tickets are checked with, for whoever checks them too. */
  get published(): readonly PublicKey[] {
    return this.#published;
  }

  isWithdrawn(kid: string): boolean {
    return this.#withdrawn.has(kid);
  }

  /** For an unknown `kid` the file is looked at again, now and then: a new key may sign at once. */
  async find(kid: string): Promise<CryptoKey | undefined> {
    const known = this.#keys.get(kid);
    if (known !== undefined) return known;
    if (this.#reading === undefined && this.#nowMs() < this.#nextReadMs) return undefined;
    await this.refresh();
    return this.#keys.get(kid);
  }

  /** Reads the file if it has changed. A missing file is no key; @throws AppError `storage_unavailable` for one that cannot be read or parsed */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  #replace({ keys: published, withdrawn }: z.infer<typeof KeySet>, keys: ReadonlyMap<string, CryptoKey>, stamp: string): void {
    this.#published = published;
    this.#withdrawn = new Set(withdrawn);
    this.#keys = keys;
    this.#stamp = stamp;
    this.generation += 1;
  }

  async #read(): Promise<void> {
    this.#nextReadMs = this.#nowMs() + LOOK_AGAIN_MS;
    try {
      const { mtimeMs, ino, size } = await stat(this.#path);
      const stamp = `${mtimeMs} ${ino} ${size}`;
      if (stamp === this.#stamp) return;
      const set = KeySet.parse(JSON.parse(await readFile(this.#path, 'utf8')));
      const imported = await Promise.all(
        set.keys.map(async (key) => [key.kid, (await importJWK(key, TICKET.algorithm)) as CryptoKey] as const),
      );
      this.#replace(set, new Map(imported), stamp);
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
        return this.#replace({ keys: [], withdrawn: [] }, new Map(), '');
      throw new AppError('storage_unavailable', 'the ticket keys cannot be read', { cause });
    }
  }
}

export type TicketVerifier = {
  /** @throws AppError `ticket_invalid`, `ticket_expired` */
  verify(token: string): Session | Promise<Session>;
  /** Whether what was verified before may go on. @throws AppError `ticket_expired`: its key was withdrawn, and there are tickets of another one */
  assertTrusted(session: Pick<Session, 'keyId'>): void;
};

/**
 * Checks tickets with the public key alone. A ticket once verified is remembered by the hash of the whole token, so the next
 * request costs one SHA-256; its expiry is checked each time.
 */
export function createTicketVerifier(keys: TicketKeys, nowMs: () => number): TicketVerifier {
  const seen = new Map<string, Session>(); // in order of use, the oldest first
  let generation = keys.generation;

  async function verifyNew(token: string, id: string): Promise<Session> {
    const before = keys.generation;
    const { claims, keyId } = await checkSignature(token, keys, nowMs);
    const session = { principal: { userId: claims.sub, userName: claims.name, deviceId: claims.dev }, claims, keyId };
    // What was checked with an older set must not outlive it: the next request with this ticket is checked anew.
    if (keys.generation === before) remember(id, session);
    return session;
  }

  function remember(id: string, session: Session): void {
    seen.delete(id);
    seen.set(id, session);
    if (seen.size <= LIMITS.ticketsCachedMax) return;
    const [oldest] = seen.keys();
    if (oldest !== undefined) seen.delete(oldest);
  }

  return {
    assertTrusted({ keyId }) {
      if (keys.isWithdrawn(keyId)) throw withdrawn();
    },
    verify(token) {
      if (token.length > LIMITS.ticketBytesMax) throw new AppError('ticket_invalid', 'the ticket is too long');
      if (generation !== keys.generation) {
        seen.clear();
        generation = keys.generation;
      }
      const id = hash('sha256', token, 'base64url');
      const known = seen.get(id);
      if (known === undefined) return verifyNew(token, id);
      if (isExpired(known.claims.exp, nowMs())) {
        seen.delete(id);
        throw new AppError('ticket_expired', 'the ticket has expired');
      }
      remember(id, known);
      return known;
    },
  };
}

/** A new ticket is all that is wanted, as for one whose time is over: the session is as good as before. */
function withdrawn(): AppError {
  return new AppError('ticket_expired', 'the key of this ticket was withdrawn: ask for another ticket');
}

function isExpired(expS: number, nowMs: number): boolean {
  return expS + TICKET.leewayS <= Math.floor(nowMs / 1000);
}

async function checkSignature(token: string, keys: TicketKeys, nowMs: () => number): Promise<Pick<Session, 'claims' | 'keyId'>> {
  try {
    const { kid = '' } = decodeProtectedHeader(token);
    const key = await keys.find(kid);
    if (keys.isWithdrawn(kid)) throw withdrawn();
    if (key === undefined) throw new AppError('ticket_invalid', 'the ticket is not signed by this system');
    const { payload } = await jwtVerify<JWTPayload>(token, key, {
      algorithms: [TICKET.algorithm],
      typ: TICKET.type,
      issuer: TICKET.issuer,
      audience: TICKET.audience,
      clockTolerance: TICKET.leewayS,
      currentDate: new Date(nowMs()),
      requiredClaims: ['exp', 'iat'],
    });
    const claims = TicketClaims.parse(payload);
    // The daemon makes none that lives longer, and when a key may go follows from that.
    if (claims.exp - claims.iat > TICKET.lifetimeS) throw new AppError('ticket_invalid', 'the ticket lives too long');
    return { claims, keyId: kid };
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    if (cause instanceof JWTExpired) throw new AppError('ticket_expired', 'the ticket has expired', { cause });
    throw new AppError('ticket_invalid', 'the ticket is not valid', { cause });
  }
}
