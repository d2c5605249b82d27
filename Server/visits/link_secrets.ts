import { argon2, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { createPlaces } from '../turns.ts';

const TOKEN_BYTES = 16;

/** 128 random bits, 22 characters of a URL. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

const derive = promisify(argon2);
const COST = { memory: 19_456 /* KiB */, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;

/** Passwords of links, as argon2id off the event loop, a few at a time, because each takes 19 MiB. `whose`: a user or a visitor, who has half of the places at most. */
export type LinkPasswords = {
  /** @returns what is stored: `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH` @throws AppError `busy`, `too_many_requests` */
  hash(password: string, whose: string): Promise<string>;
  /** @throws AppError `busy`, `too_many_requests`, `corrupt` */
  matches(password: string, stored: string, whose: string): Promise<boolean>;
};

export function createLinkPasswords(): LinkPasswords {
  let running = 0;
  const waiting: (() => void)[] = [];
  const take = createPlaces({ most: LIMITS.linkPasswordsHashedMax + LIMITS.linkPasswordsWaitingMax });

  async function inTurn(whose: string, work: () => Promise<Buffer>): Promise<Buffer> {
    const leave = take(whose);
    if (running < LIMITS.linkPasswordsHashedMax) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve)); // whoever ends hands the turn on
    try {
      return await work();
    } finally {
      leave();
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  type Cost = { memory: number; passes: number; parallelism: number };
  const stretch = (whose: string, password: string, nonce: Buffer, cost: Cost): Promise<Buffer> =>
    inTurn(
      whose,
      () => derive('argon2id', { message: password.normalize('NFC'), nonce, tagLength: TAG_BYTES, ...cost }) as Promise<Buffer>,
    );

  return {
    async hash(password, whose) {
      const salt = randomBytes(SALT_BYTES);
      const tag = await stretch(whose, password, salt, COST);
      return `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${salt.toString('base64url')}$${tag.toString('base64url')}`;
    },
    async matches(password, stored, whose) {
      const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w-]+)\$([\w-]+)$/.exec(stored);
      if (found === null) throw new AppError('corrupt', 'a stored password cannot be read');
      const [, memory, passes, parallelism, salt = '', tag = ''] = found;
      const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
      const given = await stretch(whose, password, Buffer.from(salt, 'base64url'), cost);
      return timingSafeEqual(given, Buffer.from(tag, 'base64url'));
    },
  };
}

/**
 * What a browser shows instead of the password once it was right: an end and a proof. It is good for one link and until its password changes, on
 * every server of the same database, and nobody who has not seen the stored hash can make one.
 */
export function passFor(link: { readonly id: string; readonly password: string }, endsAtMs: number): string {
  return `${endsAtMs}.${proof(link, String(endsAtMs)).toString('base64url')}`;
}

export function passHolds(link: { readonly id: string; readonly password: string }, pass: string, nowMs: number): boolean {
  const [, end = '', shown = ''] = /^(\d{1,15})\.([\w-]{43})$/.exec(pass) ?? [];
  if (end === '' || Number(end) <= nowMs) return false;
  return timingSafeEqual(proof(link, end), Buffer.from(shown, 'base64url'));
}

function proof({ id, password }: { readonly id: string; readonly password: string }, end: string): Buffer {
  return createHmac('sha256', password).update(`driftless link pass 1\0${id}\0${end}`).digest();
}
