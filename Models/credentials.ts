import { AppError } from './errors.ts';
import { LIMITS } from './limits.ts';
import { visible } from './visible.ts';

const encoder = new TextEncoder();
// Fullwidth and halfwidth forms, which RFC 8265 maps to their ordinary ones.
const WIDTH = /[\uff01-\uffee\u3000]/g;
// RFC 8264 IdentifierClass: ASCII without the space, letters, digits and their marks.
const IDENTIFIER = /^[\u0021-\u007e\p{Ll}\p{Lu}\p{Lo}\p{Lm}\p{Nd}\p{Mn}\p{Mc}]+$/u;
const NON_ASCII_SPACE = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: passwords must not hold control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

function caseMapped(name: string): string {
  return name
    .replace(WIDTH, (form) => form.normalize('NFKC'))
    .toLowerCase()
    .normalize('NFC');
}

/**
 * The one form of a user name: RFC 8265 UsernameCaseMapped (the bidi rule is left out: names are shown one to a line).
 * @throws AppError `name_invalid`
 */
export function prepareUserName(name: string): string {
  if (!name.isWellFormed()) throw new AppError('name_invalid', 'a user name must be well-formed Unicode');
  const prepared = caseMapped(name);
  if (!IDENTIFIER.test(prepared) || caseMapped(prepared) !== prepared) {
    throw new AppError('name_invalid', 'a user name has letters, digits and ASCII signs, no spaces');
  }
  if ([...prepared].some((character) => character > '\u007f' && character.normalize('NFKC') !== character.normalize('NFC'))) {
    throw new AppError('name_invalid', 'a user name cannot hold a compatibility form of another character');
  }
  if (encoder.encode(prepared).length > LIMITS.userNameBytesMax) {
    throw new AppError('name_invalid', `a user name has at most ${LIMITS.userNameBytesMax} bytes`);
  }
  return prepared;
}

function opaqueString(password: string): string | null {
  if (!password.isWellFormed() || CONTROL.test(password)) return null;
  const prepared = password.replace(NON_ASCII_SPACE, ' ').normalize('NFC');
  const bytes = encoder.encode(prepared).length;
  return bytes < LIMITS.passwordBytesMin || bytes > LIMITS.passwordBytesMax ? null : prepared;
}

/**
 * The one form of a new password: RFC 8265 OpaqueString, so it does not matter which system it is typed on.
 * @throws AppError `request_invalid`: too short, too long, control characters, lone surrogates
 */
export function prepareNewPassword(password: string): string {
  const prepared = opaqueString(password);
  if (prepared !== null) return prepared;
  const limits = `${LIMITS.passwordBytesMin} to ${LIMITS.passwordBytesMax} bytes`;
  throw new AppError('request_invalid', `a password has ${limits} of well-formed Unicode without control characters`);
}

/** The same at login, where a password that cannot be anyone's is simply wrong. @throws AppError `credentials_wrong` */
export function preparePassword(password: string): string {
  const prepared = opaqueString(password);
  if (prepared === null) throw new AppError('credentials_wrong', 'wrong user name or password');
  return prepared;
}

/** The one form of a device's name: a line that a person can read. @throws AppError `name_invalid` */
export function prepareDeviceName(name: string): string {
  const prepared = name.trim().normalize('NFC');
  const bytes = encoder.encode(prepared).length;
  if (bytes === 0 || bytes > LIMITS.deviceNameBytesMax || visible(prepared) !== prepared) {
    throw new AppError('name_invalid', `a device's name has 1 to ${LIMITS.deviceNameBytesMax} bytes that can be shown on one line`);
  }
  return prepared;
}

/** What a user is called, on one line; empty for nothing. @throws AppError `request_invalid` */
export function prepareDisplayName(name: string): string {
  const prepared = name.trim().normalize('NFC');
  if (encoder.encode(prepared).length > LIMITS.displayNameBytesMax || visible(prepared) !== prepared) {
    throw new AppError('request_invalid', `a name has at most ${LIMITS.displayNameBytesMax} bytes that can be shown on one line`);
  }
  return prepared;
}

/** An address that mail may reach, as far as that can be told from it; empty for none. @throws AppError `request_invalid` */
export function prepareEmail(address: string): string {
  const prepared = address.trim().normalize('NFC');
  const isAddress =
    /^[^\s@]+@[^\s@]+$/.test(prepared) && encoder.encode(prepared).length <= LIMITS.emailBytesMax && visible(prepared) === prepared;
  if (prepared !== '' && !isAddress) throw new AppError('request_invalid', 'an e-mail address looks like alice@example.org');
  return prepared;
}
