import { join } from 'node:path';
import { AppError } from '../../Models/errors.ts';
import { TICKET } from '../../Models/ticket.ts';
import { requestKeyReplacement } from '../../Storage/server_pins.ts';
import { readSecretContent, rotateKeys } from '../secrets.ts';
import { ROTATION, type SigningKey, stateOfKey } from '../signing_keys.ts';
import { type Answer, type Command, table, timeText } from './command.ts';

function keysAnswer(keys: readonly SigningKey[], atMs: number): Answer {
  const facts = keys.map((key) => ({ id: key.id, state: stateOfKey(keys, key, atMs), signsFrom: new Date(key.signsFromMs).toISOString() }));
  const rows = facts.map(({ id, state }, at) => [id, state, timeText(keys[at]?.signsFromMs ?? null)]);
  return { json: facts, lines: table([['key', 'state', 'signs from'], ...rows]) };
}

const LIFE = `${TICKET.lifetimeS / 60} minutes`;

export const KEY_COMMANDS: readonly Command[] = [
  {
    name: 'keys list',
    args: '',
    summary: 'the keys that tickets are signed and checked with',
    examples: ['keys list'],
    run: async (admin) => keysAnswer((await readSecretContent(admin.settings.data)).ticketKeys, admin.now()),
  },
  {
    name: 'keys rotate',
    args: '',
    summary: 'make a new key for tickets; nobody notices',
    about: `It is published at once and signs a minute later; the one before it is trusted for ${ROTATION.overlapMs / 60_000} minutes more, because tickets live ${LIFE}. The daemon does this by itself every 90 days.
Tickets that somebody made with a stolen key are good until then; to stop them at once, end the sessions too.`,
    examples: ['keys rotate'],
    async run(admin) {
      await admin.requireOwner(join(admin.settings.data, 'auth', 'secrets.json'));
      const made = await admin.act('keys_rotated', { detail: 'by hand' }, () => rotateKeys(admin.settings.data, admin.now()));
      return keysAnswer(made, admin.now());
    },
  },
  {
    name: 'keys replace-certificate',
    args: '',
    summary: 'the file server changes its own HTTPS key for the next one, within two seconds',
    about: `For when somebody may have seen DATA/server/tls.json. Clients that are logged in were told of the next key already. Not for a certificate of your own (DRIFTLESS_TLS_CERT):
replace its files. A server that does not run does it when it starts.`,
    examples: ['keys replace-certificate'],
    async run(admin) {
      const { data } = admin.settings;
      await admin.requireOwner(join(data, 'server'));
      const old = await admin.act('certificate_changed', { detail: 'asked for' }, async () => {
        const pin = await requestKeyReplacement(data);
        if (pin === null)
          throw new AppError(
            'data_folder_unusable',
            'the file server has no next key for HTTPS: it made none yet, or uses a certificate of yours',
          );
        return pin;
      });
      return { json: { replaced: old }, lines: [`the key with the fingerprint sha256//${old} is being replaced`] };
    },
  },
];
