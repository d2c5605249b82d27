import { argument, type Command, DEFAULT_AUTH, type Run } from './command.ts';
import { formatTime } from './format.ts';
import { type Answer, facts } from './output.ts';

async function enter(run: Run, username: string, how: 'register' | 'connect'): Promise<Answer> {
  const { askPassword } = await import('./prompt.ts');
  const password = run.settings.password ?? (await askPassword(username, how === 'register'));
  const client = await import('../client.ts');
  const auth = run.settings.auth ?? DEFAULT_AUTH;
  const onFirstContact = (fingerprint: string): void => run.tell(`first contact with ${auth}, key ${fingerprint}`);
  const next = await client[how]({ username, password, auth, home: run.settings.home, onFirstContact });
  await run.replaceClient(next);
  const verb = how === 'register' ? 'registered and logged in' : 'logged in';
  return facts({ user: next.username, server: next.serverUrl, auth }, `${verb} as ${next.username} at ${auth}; files at ${next.serverUrl}`);
}

const PASSWORD = 'The password is asked for, or taken from DRIFTLESS_PASSWORD. It never leaves this machine.';

export const ACCOUNT_COMMANDS: readonly Command[] = [
  {
    name: 'register',
    args: '<name>',
    summary: 'make an account and log in',
    about: PASSWORD,
    examples: ['register alice', 'DRIFTLESS_AUTH=files.example.org:4810 driftless register alice'],
    run: (run, args) => enter(run, argument(args, 0), 'register'),
  },
  {
    name: 'login',
    args: '<name>',
    summary: 'log in',
    about: PASSWORD,
    examples: ['login alice'],
    run: (run, args) => enter(run, argument(args, 0), 'connect'),
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
    examples: ['ticket', 'curl -H "Authorization: Bearer $(driftless ticket)" http://127.0.0.1:4811/v1/whoami'],
    async run(run) {
      const ticket = await (await run.client()).ticket();
      return facts({ ticket }, ticket);
    },
  },
];
