import type { RestOnline } from '../client.ts';
import type { Command } from './command.ts';
import { formatTime } from './format.ts';
import { rowsOf } from './output.ts';

function onlineLine({ user, device, name, since }: RestOnline): string {
  return `${user.padEnd(12)}  since ${formatTime(since)}  ${name === '' ? device : name}`;
}

export const EVENT_COMMANDS: readonly Command[] = [
  {
    name: 'online',
    args: '',
    summary: 'show who is online, on which devices and since when',
    about:
      'Your own devices, and those of everybody who shares a folder with you. A device is online while it keeps a folder in sync or follows events.',
    examples: ['online', 'online --json'],
    async run(run) {
      return { kind: 'rows', rows: rowsOf(await (await run.client()).online(), onlineLine) };
    },
  },
];
