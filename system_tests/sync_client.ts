import { createInterface } from 'node:readline';
import { inspect } from 'node:util';
import { resume, type Sync, type SyncEvent } from '../Client/client.ts';
import { openSync } from '../Client/sync.ts';
import { AppError } from '../Models/errors.ts';
import { ticketSession } from './ticket_session.ts';

/**
 * A client as a process of its own, for tests that kill it or run it as somebody else. What it is to sync is its argument (JSON), what it is
 * told comes in and what happens goes out as lines of JSON.
 */
export type ClientConfig = {
  readonly home: string;
  readonly local: string;
  readonly remote: string;
  /** Instead of a login of the profile: a ticket that is good for as long as the test takes. */
  readonly ticket?: { readonly text: string; readonly serverUrl: string; readonly userId: string; readonly userName: string };
  /** Where the server is, if not where the daemon said: a proxy. */
  readonly serverUrl?: string;
  readonly watch?: boolean;
};
export type ClientCommand = { readonly id: number; readonly command: 'once' | 'reason' | 'status' | 'nudge'; readonly path?: string };
export type ClientLine =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: string }
  | { readonly event: SyncEvent }
  /** Nothing but a person can mend it: why. */
  | { readonly gaveUp: string }
  | { readonly ready: true };

function say(line: ClientLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function open(config: ClientConfig): Promise<Sync> {
  const { home, local, remote, ticket } = config;
  if (ticket === undefined) {
    const me = await resume({ home });
    return me.sync(local, remote, { watch: false });
  }
  const { text, serverUrl, userId, userName } = ticket;
  const own = { user: { id: userId, name: userName }, deviceId: '3'.repeat(32), sessionId: '4'.repeat(32), serverUrl };
  const session = ticketSession(own, async () => text);
  return openSync({ session, home }, { local, remote });
}

async function answer(sync: Sync, { command, path = '' }: ClientCommand): Promise<unknown> {
  switch (command) {
    case 'once':
      return sync.once();
    case 'reason':
      return sync.explain(path)?.reason ?? null;
    case 'status': {
      const { state, waiting, problems, conflicts, held } = sync.status();
      return { state, waiting, problems, conflicts, held, left: sync.index.problems() };
    }
    default:
      throw new AppError('internal', `there is no command ${command}`);
  }
}

async function main(): Promise<void> {
  const config: ClientConfig = JSON.parse(process.argv[2] ?? '{}');
  await using sync = await open(config);
  sync.on((event) => {
    if (event.type === 'state' && event.state.state === 'ended') say({ gaveUp: inspect(event.state.error) });
    else if (event.type !== 'pass') say({ event });
  });
  if (config.watch === true) sync.start();
  say({ ready: true });
  for await (const line of createInterface(process.stdin)) {
    const command: ClientCommand = JSON.parse(line);
    try {
      say({ id: command.id, answer: await answer(sync, command) });
    } catch (error) {
      say({ id: command.id, failure: String(error instanceof AppError ? error.code : error) });
    }
  }
}

await main();
