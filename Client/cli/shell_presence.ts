import type { Publisher } from '../client.ts';
import type { Run } from './command.ts';
import { publishEventLine, startLine } from './publish_commands.ts';
import { publishSettings } from './publish_settings.ts';

/** While the shell runs: this device is online and publishes what was published last, until `disconnect`. */
export type ShellPresence = {
  /** @throws AppError of the session; a folder that cannot be published is told of */
  connect(): Promise<void>;
  disconnect(): Promise<void>;
};

export function createShellPresence(run: Pick<Run, 'client' | 'settings' | 'tell'>): ShellPresence {
  const publishers: Publisher[] = [];
  let leave: (() => void) | null = null;

  async function disconnect(): Promise<void> {
    leave?.();
    leave = null;
    for (const publisher of publishers.splice(0)) await publisher.close();
  }

  async function connect(): Promise<void> {
    const client = await run.client();
    await disconnect();
    leave = client.watchPublished(() => undefined); // an event connection is what being online is
    const settings = await publishSettings(run.settings.home);
    for (const { local, name, to } of settings.filter(({ user, server }) => user === client.username && server === client.serverUrl)) {
      const onEvent = (event: Parameters<typeof publishEventLine>[0]): void => run.tell(publishEventLine(event).line);
      try {
        const publisher = await client.publish(local, { name, to, onEvent });
        publishers.push(publisher);
        run.tell(startLine(publisher, to).line);
      } catch (error) {
        run.tell(`${local}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (publishers.length === 0) run.tell('online; nothing is published from here yet: see "help publish"');
  }

  return { connect, disconnect };
}
