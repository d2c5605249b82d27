import type { FastifyRequest } from 'fastify';
import { addressGroup, plainAddress } from '../../Models/addresses.ts';
import { AppError } from '../../Models/errors.ts';
import { LIMITS } from '../../Models/limits.ts';
import { allowsUpload, LINK_PREFIX } from '../../Models/links.ts';
import { nameProblem, writeAnchored } from '../../Models/names.ts';
import type { AccountsReader } from '../../Storage/accounts.ts';
import type { Audit } from '../../Storage/audit.ts';
import type { Access, Links, OpenLink } from '../../Storage/links.ts';
import type { Principal } from '../../Storage/metadata.ts';
import { createAttempts } from '../attempts.ts';
import { type LinkPasswords, passFor, passHolds, tokenHash } from './link_secrets.ts';

/** One request of somebody who has a link. Whatever is done is done as the link's maker, and so by the rights that the maker has now. */
export type Visit = {
  readonly link: OpenLink;
  readonly token: string;
  readonly maker: Principal;
  readonly address: string;
  /** Names below what the link leads to. */
  readonly below: readonly string[];
  /** The same as a path for `Metadata`, and for the log. */
  readonly path: string;
  readonly shownPath: string;
};

export type VisitDeps = {
  readonly links: Pick<Links, 'find' | 'begin' | 'end' | 'undo'>;
  readonly accounts: Pick<AccountsReader, 'findUser'>;
  readonly linkPasswords: Pick<LinkPasswords, 'matches'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly monotonicMs: () => number;
};

export type Visits = {
  /**
   * @throws AppError `not_found` for a token that nobody made and for a link that is over, which nobody can tell apart; `credentials_wrong` without
   * the link's password; `too_many_requests` after too many of either, before anything is looked up
   */
  enter(request: FastifyRequest): Promise<Visit>;
  /** What a browser may show instead of the password that it sends. @throws AppError as `enter` */
  passFor(request: FastifyRequest, password: string): Promise<{ readonly token: string; readonly pass: string }>;
  /** For as long as something flows: throws once the link is not open any more; asks every `LIMITS.linkCheckMs`. */
  watch(visit: Visit): () => Promise<void>;
  /** Notes the access. @returns what to call with the bytes when it ends @throws AppError `not_found` when there is no use left */
  begin(visit: Visit, access: Pick<Access, 'action' | 'content' | 'joins' | 'counts'>): Promise<number>;
};

export const GONE = 'there is no such link, or it is over';
export const PASS_COOKIE = 'driftless_link';

export function createVisits({ links, accounts, linkPasswords, audit, monotonicMs }: VisitDeps): Visits {
  const guesses = createAttempts({ most: LIMITS.linkGuessesMax, restoreMs: 1000 / LIMITS.linkGuessesPerSecond }, monotonicMs);
  const visits = createAttempts({ most: LIMITS.linkVisitsMax, restoreMs: LIMITS.linkVisitRestoreMs }, monotonicMs);
  const perAddress = createAttempts({ most: LIMITS.linkPasswordsPerAddressMax, restoreMs: LIMITS.linkPasswordRestoreMs }, monotonicMs);
  const perLink = createAttempts({ most: LIMITS.linkPasswordsPerLinkMax, restoreMs: LIMITS.linkPasswordRestoreMs }, monotonicMs);

  /** The link of a token if its maker still has an account that is good. */
  async function openLink(token: string): Promise<OpenLink | null> {
    const link = await links.find(tokenHash(token));
    const maker = link === null ? null : await accounts.findUser(link.maker.userName);
    return link !== null && maker?.id === link.maker.userId ? link : null;
  }

  async function found(request: FastifyRequest): Promise<{ link: OpenLink; token: string; address: string }> {
    const address = plainAddress(request.ip);
    const group = addressGroup(address);
    if (guesses.take(group) > 0) throw new AppError('too_many_requests', 'too many links that do not exist were asked for');
    const token = tokenOf(request);
    const link = token === null ? null : await openLink(token);
    if (token === null || link === null) throw new AppError('not_found', GONE);
    guesses.giveBack(group);
    if (visits.take(group) > 0) throw new AppError('too_many_requests', 'too many requests at once; try again soon');
    if (link.usedUp && !mayGoOn(request)) throw new AppError('not_found', GONE);
    return { link, token, address };
  }

  /** The attempt is taken before the password is looked at, so that many at once get no more of them. */
  async function checkPassword({ link, address }: { link: OpenLink; address: string }, password: string): Promise<void> {
    if (link.password === null) return;
    const own = `${link.id} ${addressGroup(address)}`;
    const refused = (code: 'too_many_requests' | 'credentials_wrong', message: string): AppError => {
      const { userId, userName } = link.maker;
      audit.record({ what: 'link_password', result: code, userId, userName, address, detail: `link ${link.id}` });
      return new AppError(code, message);
    };
    if (perAddress.take(own) > 0 || perLink.take(link.id) > 0) {
      throw refused('too_many_requests', 'too many wrong passwords; try again in a minute');
    }
    if (!(await linkPasswords.matches(password, link.password, addressGroup(address)))) {
      await links.begin(link.id, { action: 'password', address, path: '/', content: null, joins: true, counts: false });
      throw refused('credentials_wrong', 'the password is wrong');
    }
    perAddress.giveBack(own);
    perLink.giveBack(link.id);
  }

  return {
    async enter(request) {
      const { link, token, address } = await found(request);
      try {
        if (link.password !== null && !hasPass(request, { id: link.id, password: link.password })) {
          const password = passwordIn(request);
          if (password === null) throw new AppError('credentials_wrong', 'this link needs its password');
          await checkPassword({ link, address }, password);
        }
        const below = namesBelow(request);
        const maker = { ...link.maker, deviceId: `link ${link.id.slice(0, 8)}` };
        return { link, token, maker, address, below, path: writeAnchored(link.node, ...below), shownPath: `/${below.join('/')}` };
      } catch (cause) {
        if (link.usedUp && cause instanceof AppError) throw new AppError('not_found', GONE, { cause });
        throw cause;
      }
    },
    async passFor(request, password) {
      const { link, token, address } = await found(request);
      await checkPassword({ link, address }, password);
      return {
        token,
        pass: link.password === null ? '' : passFor({ id: link.id, password: link.password }, Date.now() + LIMITS.linkPassMs),
      };
    },
    watch({ token }) {
      let checkedAtMs = monotonicMs();
      return async () => {
        if (monotonicMs() - checkedAtMs < LIMITS.linkCheckMs) return;
        checkedAtMs = monotonicMs();
        if ((await openLink(token)) === null) throw new AppError('not_found', GONE);
      };
    },
    async begin({ link, address, shownPath }, access) {
      const number = await links.begin(link.id, { ...access, address, path: shownPath });
      if (number === null) throw new AppError('not_found', GONE);
      return number;
    },
  };
}

/** Both the link and its maker's role allow it. */
export function takesFiles({ link }: Visit): boolean {
  return allowsUpload(link.mode) && link.mayWrite;
}

/** Of a link without uses left, only what was begun can go on; whether it was, `Links.begin` knows. */
function mayGoOn({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && headers.range !== undefined;
}

function pathOf(request: FastifyRequest): string[] {
  const [path = ''] = (request.raw.url ?? '').split('?', 1);
  return path.slice(LINK_PREFIX.length + 1).split('/');
}

function tokenOf(request: FastifyRequest): string | null {
  const [token = ''] = pathOf(request);
  return /^[\w-]{22}$/.test(token) ? token : null;
}

/** From the path as it was sent, each name decoded by itself: an encoded slash divides nothing. @throws AppError `not_found` for what no entry can be called */
function namesBelow(request: FastifyRequest): string[] {
  const [, ...segments] = pathOf(request);
  if (segments.at(-1) === '') segments.pop();
  const nothing = (): AppError => new AppError('not_found', 'there is nothing at this path');
  const names = segments.map((segment) => {
    const name = decoded(segment);
    if (name === null || nameProblem(name) !== null) throw nothing();
    return name;
  });
  if (names.length > LIMITS.pathDepthMax || Buffer.byteLength(names.join('/')) > LIMITS.pathBytesMax) throw nothing();
  return names;
}

function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
}

function hasPass({ headers }: FastifyRequest, link: { readonly id: string; readonly password: string }): boolean {
  const cookies = (headers.cookie ?? '').split(';').map((cookie) => cookie.trim());
  const pass = cookies.find((cookie) => cookie.startsWith(`${PASS_COOKIE}=`))?.slice(PASS_COOKIE.length + 1);
  return pass !== undefined && passHolds(link, pass, Date.now());
}

/** In the header `Link-Password` or by basic authentication, where the user name does not matter. */
function passwordIn({ headers }: FastifyRequest): string | null {
  const own = headers['link-password'];
  if (typeof own === 'string') return Buffer.from(own, 'latin1').toString();
  const basic = /^basic +([\w+/=-]+)$/i.exec(headers.authorization ?? '')?.[1];
  if (basic === undefined) return null;
  const pair = Buffer.from(basic, 'base64').toString();
  const colon = pair.indexOf(':');
  return colon === -1 ? null : pair.slice(colon + 1);
}
