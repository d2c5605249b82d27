import { randomBytes } from 'node:crypto';
import { server } from '@serenity-kit/opaque';
import { prepareUserName } from '../Models/credentials.ts';
import { decodeText, encodeKsf, type Ksf } from '../Models/datagram_fields.ts';
import { type ClientDatagram, encodeError, packFields, TEXTS, unpackFields, type WireError } from '../Models/datagrams.ts';
import { AppError } from '../Models/errors.ts';
import { foldName } from '../Models/names.ts';
import type { Accounts } from '../Storage/accounts.ts';
import type { AuthLog } from './auth_log.ts';
import { openBox } from './box.ts';
import type { Secrets } from './secrets.ts';
import { isLoopback, type Source } from './source.ts';

export type RegistrationDeps = {
  readonly accounts: Pick<Accounts, 'findAccount' | 'addAccount'>;
  readonly secrets: Secrets;
  readonly ksf: Ksf;
  readonly log: AuthLog;
  readonly now: () => number;
};
type Incoming<K extends 'register' | 'enrol'> = {
  readonly datagram: ClientDatagram<K>;
  readonly bytes: Uint8Array;
  readonly source: Source;
};

const text64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/** @returns the name only if it stands in its one form already, as clients send it */
function nameIn(field: Uint8Array): string | null {
  const name = decodeText(field);
  if (name === null) return null;
  try {
    return prepareUserName(name) === name ? name : null;
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

function refusal({ datagram }: Incoming<'register' | 'enrol'>, error: WireError): Uint8Array {
  return encodeError(datagram.transaction, error);
}

/** REGISTER to REGISTRATION. The answer depends on name and request alone, so nothing is kept. */
export async function answerRegister(deps: RegistrationDeps, incoming: Incoming<'register'>): Promise<Uint8Array | null> {
  if (!isLoopback(incoming.source)) return refusal(incoming, 'registration_closed');
  const box = openBox(deps.secrets, incoming.datagram, incoming.bytes);
  const fields = box === null ? null : unpackFields(TEXTS.register, box.text);
  if (box === null || fields === null) return null;
  const name = nameIn(fields.name);
  if (name === null) return refusal(incoming, 'name_invalid');
  if ((await deps.accounts.findAccount(name)) !== null) return refusal(incoming, 'name_taken');
  const input = { serverSetup: deps.secrets.opaqueSetup, userIdentifier: foldName(name), registrationRequest: text64(fields.request) };
  let response: string;
  try {
    response = server.createRegistrationResponse(input).registrationResponse;
  } catch {
    return null; // not a valid request
  }
  return box.reply(
    'registration',
    packFields(TEXTS.registration, { response: Buffer.from(response, 'base64url'), ksf: encodeKsf(deps.ksf) }),
  );
}

/** ENROL to ENROLLED: durable when answered. The same record once more is the same registration. */
export async function answerEnrol(deps: RegistrationDeps, incoming: Incoming<'enrol'>): Promise<Uint8Array | null> {
  if (!isLoopback(incoming.source)) return refusal(incoming, 'registration_closed');
  const box = openBox(deps.secrets, incoming.datagram, incoming.bytes);
  const fields = box === null ? null : unpackFields(TEXTS.enrol, box.text);
  if (box === null || fields === null) return null;
  const name = nameIn(fields.name);
  if (name === null) return refusal(incoming, 'name_invalid');
  const record = Buffer.from(fields.record);
  const ksf = Buffer.from(fields.ksf);
  if (!ksf.equals(encodeKsf(deps.ksf))) return refusal(incoming, 'login_expired');
  const id = randomBytes(16).toString('hex');
  const stored = await deps.accounts.addAccount({ id, name, role: 'user', disabled: false, record, ksf: deps.ksf }, deps.now());
  if (!stored.record.equals(record)) return refusal(incoming, 'name_taken');
  if (stored.id === id) deps.log.info({ user: id, name, source: incoming.source.address }, 'registered');
  return box.reply('enrolled', packFields(TEXTS.enrolled, { userId: Buffer.from(stored.id, 'hex') }));
}
