import { argument, type Command, DEFAULT_AUTH, type Options, type Run, textOption } from './command.ts';
import { formatTime } from './format.ts';
import { type Answer, facts } from './output.ts';

type FirstContact = (fingerprint: string, at: { readonly loopback: boolean }) => Promise<boolean>;

/** On this machine the key is shown; elsewhere a person has to say that it is the right one. */
function firstContact(run: Run, auth: string): FirstContact {
  return async (fingerprint, { loopback }) => {
    run.tell(`first contact with ${auth}, key ${fingerprint}`);
    return loopback || (await import('./prompt.ts')).confirmKey(fingerprint);
  };
}

async function enter(run: Run, username: string, how: 'register' | 'connect', options: Options): Promise<Answer> {
  const { askPassword } = await import('./prompt.ts');
  const password = run.settings.password ?? (await askPassword(username, how === 'register'));
  const client = await import('../client.ts');
  const auth = run.settings.auth ?? (await client.usualDaemon({ home: run.settings.home })) ?? DEFAULT_AUTH;
  const who = { username, password, home: run.settings.home, serverUrl: run.settings.server, expectedKey: textOption(options, 'key') };
  const invite = textOption(options, 'invite');
  const known = { ...who, auth, onFirstContact: firstContact(run, auth) };
  const next = invite !== undefined ? await client.register({ ...who, invite }) : await client[how](known);
  await run.replaceClient(next);
  const verb = how === 'register' ? 'registered and logged in' : 'logged in';
  return facts(
    { user: next.username, server: next.serverUrl, auth: next.auth },
    `${verb} as ${next.username} at ${next.auth}; files at ${next.serverUrl}`,
  );
}

const PASSWORD = 'The password is asked for, or taken from DRIFTLESS_PASSWORD. It never leaves this machine.';
const FIRST_CONTACT = `
The first time you meet a server on another machine you are asked whether its key is the right one: compare it with what its administrator
gives you. A key that has changed is never accepted.`;
const KEY = { flags: '--key <fingerprint>', text: 'the key that the server must have, SHA256:…, instead of being asked' } as const;

/** With pins curl need not know an authority: it still compares the key before it sends anything. */
function curlLines(ticket: string, pins: readonly string[]): string[] {
  const keys = pins.map((pin) => `sha256//${pin}`).join(';');
  return [`header = "Authorization: Bearer ${ticket}"`, ...(keys === '' ? [] : ['insecure', `pinnedpubkey = "${keys}"`])];
}

export const ACCOUNT_COMMANDS: readonly Command[] = [
  {
    name: 'register',
    args: '<name>',
    summary: 'make an account and log in',
    about: `${PASSWORD} An invitation code says where to register and which key to expect there: nothing is asked.${FIRST_CONTACT}`,
    options: [{ flags: '--invite <code>', text: 'the invitation code that you were given' }, KEY],
    examples: ['register alice', 'register alice --invite dl1_…', 'DRIFTLESS_AUTH=files.example.org:4810 driftless register alice'],
    run: (run, args, options) => enter(run, argument(args, 0), 'register', options),
  },
  {
    name: 'login',
    args: '<name>',
    summary: 'log in',
    about: PASSWORD + FIRST_CONTACT,
    options: [KEY],
    examples: ['login alice', 'DRIFTLESS_AUTH=files.example.org:4810 driftless login alice'],
    run: (run, args, options) => enter(run, argument(args, 0), 'connect', options),
  },
  {
    name: 'passwd',
    args: '',
    summary: 'change your password',
    about: `Asks for the current password, and twice for the new one; or takes them from DRIFTLESS_PASSWORD and DRIFTLESS_NEW_PASSWORD. Neither leaves this machine.
You are logged out everywhere else.`,
    options: [{ flags: '--keep-sessions', text: 'stay logged in on your other devices' }],
    examples: ['passwd', 'passwd --keep-sessions'],
    async run(run, _, options) {
      const client = await run.client();
      const { askPassword } = await import('./prompt.ts');
      const { password, newPassword } = run.settings;
      const current = password ?? (await askPassword(client.username, false));
      const next = newPassword ?? (await askPassword(`${client.username}, the new one`, true, 'DRIFTLESS_NEW_PASSWORD'));
      const keepOtherSessions = options.keepSessions === true;
      await client.changePassword({ current, next, keepOtherSessions });
      const others = keepOtherSessions ? 'your other devices stay logged in' : 'your other devices are logged out';
      return facts({ user: client.username, keptOtherSessions: keepOtherSessions }, `password changed; ${others}`);
    },
  },
  {
    name: 'profile',
    args: '',
    summary: 'show or set your display name and e-mail address',
    about: 'The display name is shown to those who share a folder with you, the address to nobody else. An empty text takes it back.',
    options: [
      { flags: '--name <text>', text: 'what you are called' },
      { flags: '--email <address>', text: 'where mail reaches you' },
    ],
    examples: ['profile', 'profile --name "Alice Liddell" --email alice@example.org', 'profile --email ""'],
    async run(run, _, options) {
      const client = await run.client();
      const displayName = textOption(options, 'name');
      const email = textOption(options, 'email');
      const given = { ...(displayName === undefined ? {} : { displayName }), ...(email === undefined ? {} : { email }) };
      const profile = Object.keys(given).length === 0 ? await client.profile() : await client.setProfile(given);
      return facts(profile, `user    ${profile.user}`, `name    ${profile.displayName ?? '-'}`, `e-mail  ${profile.email ?? '-'}`);
    },
  },
  {
    name: 'logout',
    args: '',
    summary: 'end the session, here and on the server',
    examples: ['logout'],
    async run(run) {
      const client = await run.client();
      await client.logout();
      await run.replaceClient(null);
      return facts({ user: client.username }, `logged out ${client.username}`);
    },
  },
  {
    name: 'whoami',
    args: '',
    summary: 'show the user, device and server of the session',
    examples: ['whoami', 'whoami --json'],
    async run(run) {
      const client = await run.client();
      const me = await client.whoami();
      return facts(
        { ...me, server: client.serverUrl },
        `user     ${me.user} (${me.role})`,
        `server   ${client.serverUrl}`,
        `device   ${me.device}`,
        `session  ${me.session}`,
        `ticket   until ${formatTime(me.expiresAt)}, renewed by itself`,
      );
    },
  },
  {
    name: 'ticket',
    args: '',
    summary: 'print a fresh ticket for use with other HTTP clients',
    about: 'Whoever has the ticket is you for the next minutes: do not paste it anywhere public.',
    options: [{ flags: '--curl', text: 'as a configuration for curl: the header, and which certificate to believe' }],
    examples: ['ticket', 'ticket --curl | curl --config - https://files.example.org:4811/v1/whoami'],
    async run(run, _args, options) {
      const client = await run.client();
      const ticket = await client.ticket();
      const pins = client.pins();
      return facts({ ticket, pins }, ...(options.curl === true ? curlLines(ticket, pins) : [ticket]));
    },
  },
];
