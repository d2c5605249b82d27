import { AppError } from '../../Models/errors.ts';

/** The keys of one daemon, as they were seen first; base64url. `opaqueKey` is the static key that OPAQUE itself proves. */
export type DaemonPins = { readonly key: string; readonly opaqueKey: string };

/** @throws AppError `server_key_changed` when a key is not the pinned one; with no pin, whatever comes is accepted */
export function checkPin(pins: DaemonPins | null, which: keyof DaemonPins, key: Uint8Array): string {
  const text = Buffer.from(key).toString('base64url');
  if (pins !== null && pins[which] !== text) {
    throw new AppError(
      'server_key_changed',
      'the authentication daemon is not the one seen before: its key has changed. Somebody may be listening. If it was set up anew, remove it from profile.json',
    );
  }
  return text;
}
