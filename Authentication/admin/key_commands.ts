import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../Models/errors.ts';
import { TICKET } from '../../Models/ticket.ts';
import { requestKeyReplacement } from '../../Storage/server_pins.ts';
import { KEYS_TENDED_MS } from '../key_tending.ts';
import { readSecretContent, rotateKeys, withdrawKeys } from '../secrets.ts';
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
    options: [{ flags: '--now', text: 'for a stolen key: tickets of all others are good for nothing within two seconds' }],
    about: `It is published at once and signs a minute later; the one before it is trusted for ${ROTATION.overlapMs / 60_000} minutes more, because tickets live ${LIFE}. The daemon does this by itself every 90 days.
With --now the new key signs at once and the others are withdrawn: what is under way with their tickets is cut, those who are logged in get new tickets by themselves.
Who has all of secrets.json can renew sessions too: end those that you do not know.`,
    examples: ['keys rotate', 'keys rotate --now'],
    async run(admin, _args, options) {
      const { data } = admin.settings;
      await admin.requireOwner(join(data, 'auth', 'secrets.json'));
      const isTheft = options.now === true;
      const taken = (): Promise<void> => sleep(2 * KEYS_TENDED_MS - 200);
      const rotate = () => (isTheft ? withdrawKeys(data, admin.now, taken) : rotateKeys(data, admin.now()));
      const made = await admin.act('keys_rotated', { detail: isTheft ? 'by hand, the others withdrawn' : 'by hand' }, rotate);
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
