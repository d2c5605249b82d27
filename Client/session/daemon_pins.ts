import { AppError } from '../../Models/errors.ts';

/** The keys of one daemon, as they were seen first; base64url. `opaqueKey` is the static key that OPAQUE itself proves. */
export type DaemonPins = { readonly key: string; readonly opaqueKey: string };

/** @returns AppError `server_key_changed` when a key is not the pinned one, else `null`; with no pin, whatever comes is accepted */
export function pinFailure(pins: DaemonPins | null, which: keyof DaemonPins, key: Uint8Array): AppError | null {
  if (pins === null || pins[which] === Buffer.from(key).toString('base64url')) return null;
  return new AppError(
    'server_key_changed',
    'the authentication daemon is not the one seen before: its key has changed. Somebody may be listening. If it was set up anew, remove it from profile.json',
  );
}

/** @throws AppError as `pinFailure` */
export function checkPin(pins: DaemonPins | null, which: keyof DaemonPins, key: Uint8Array): string {
  const failure = pinFailure(pins, which, key);
  if (failure !== null) throw failure;
  return Buffer.from(key).toString('base64url');
}

/** Who says that a daemon which the profile does not know is the right one. */
export type FirstContact = {
  /** The fingerprint to expect, `SHA256:…`, from an invitation code or a person. With any other key nothing more is sent. */
  readonly expectedKey?: string | undefined;
  /** Asked whether a key that nobody expects is the right one. Who is not asked takes it on this machine, and nowhere else. */
  readonly onFirstContact?: ((fingerprint: string, at: { readonly loopback: boolean }) => boolean | Promise<boolean>) | undefined;
};

/** @throws AppError `server_key_changed` (not the expected one), `server_key_unknown` (nobody vouches for it) */
export async function checkFirstContact(
  { expectedKey, onFirstContact }: FirstContact,
  met: { readonly fingerprint: string; readonly loopback: boolean; readonly pinned: boolean },
): Promise<void> {
  const { fingerprint, loopback } = met;
  if (expectedKey !== undefined && expectedKey.trim() !== fingerprint) {
    throw new AppError('server_key_changed', `the authentication daemon has the key ${fingerprint}, which is not the expected one`);
  }
  if (met.pinned || expectedKey !== undefined) return;
  if (onFirstContact === undefined ? loopback : await onFirstContact(fingerprint, { loopback })) return;
  throw new AppError('server_key_unknown', `nobody has confirmed the key of the authentication daemon, ${fingerprint}`);
}
