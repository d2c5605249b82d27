import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { AppError } from '../../Models/errors.ts';
import { readSecretContent } from '../secrets.ts';
import type { Admin } from './admin.ts';
import { argument, type Command, countText } from './command.ts';
import { openRecordThreads, type RecordThreads } from './record_threads.ts';
import { openStrangerGuesses } from './stranger_guesses.ts';
import { userLines } from './user_lines.ts';

type Summary = { added: number; existed: number; readonly bad: { readonly line: number; readonly problem: string }[] };

type Importing = {
  readonly admin: Admin;
  readonly threads: RecordThreads;
  readonly strangerGuesses: { forget(name: string): Promise<void> };
};

async function importUser(
  { admin, threads, strangerGuesses }: Importing,
  user: { readonly name: string; readonly password: string },
): Promise<'added' | 'existed'> {
  const accounts = await admin.accounts();
  const { name } = user;
  if ((await accounts.user(name)) !== null) return 'existed';
  const account = { id: randomBytes(16).toString('hex'), name, role: 'user', disabled: false, ...(await threads.make(user)) } as const;
  await strangerGuesses.forget(name);
  return (await accounts.addAccount(account, admin.now())).id === account.id ? 'added' : 'existed';
}

async function importAll(admin: Admin, pieces: AsyncIterable<Uint8Array>): Promise<Summary> {
  const { opaqueSetup } = await readSecretContent(admin.settings.data);
  await using threads = openRecordThreads(opaqueSetup);
  const importing = { admin, threads, strangerGuesses: await openStrangerGuesses(admin) };
  const summary: Summary = { added: 0, existed: 0, bad: [] };
  const lines = userLines(pieces);
  const lane = async (): Promise<void> => {
    for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
      const { value } = next;
      if ('problem' in value) summary.bad.push({ line: value.line, problem: value.problem });
      else summary[await importUser(importing, value)] += 1;
    }
  };
  await Promise.all(Array.from({ length: threads.count }, lane));
  return summary;
}

const summaryText = ({ added, existed, bad }: Summary): string =>
  `${added} added, ${existed} there already, ${countText(bad.length, 'bad line')}`;

async function* fileBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* path === '-' ? process.stdin : createReadStream(path);
  } catch (cause) {
    throw new AppError('local_io', `cannot read ${path}`, { cause });
  }
}

export const IMPORT_COMMAND: Command = {
  name: 'import-users',
  args: '<file>',
  summary: 'make accounts from lines user:password',
  about: `A password may hold colons. Each becomes a record for logging in, several at a time, and is stored nowhere: delete the file afterwards. Who has an account already keeps it as it
is, so running it twice, or again after it was cut, is safe. Bad lines are named by their number, and the others are done. "-" reads standard input.`,
  examples: ['import-users class.txt', 'ssh old cat users.txt | driftless-admin import-users -'],
  async run(admin, args) {
    const pieces = fileBytes(argument(args, 0));
    const summary = await admin.act('users_imported', {}, () => importAll(admin, pieces), summaryText);
    const { bad } = summary;
    const lines = [...bad.map(({ line, problem }) => `line ${line}: ${problem}`), summaryText(summary)];
    return { json: summary, lines, failed: bad.length > 0 };
  },
};
