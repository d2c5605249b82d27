import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditKind } from '../../Models/audit.ts';
import { AppError } from '../../Models/errors.ts';
import type { Accounts } from '../../Storage/accounts.ts';
import { openAccounts, openAccountsReader } from '../../Storage/accounts_sql.ts';
import type { Audit, AuditEvent } from '../../Storage/audit.ts';
import { openAudit } from '../../Storage/audit_sql.ts';
import type { DatabaseAddress } from '../../Storage/database.ts';
import { openQuotas, type Quotas } from '../../Storage/quota.ts';
import type { ListedUser } from '../../Storage/user_admin.ts';
import type { Settings } from './settings.ts';

type About = Pick<AuditEvent, 'userId' | 'userName' | 'deviceId' | 'detail'>;

/** What the commands work with. Nothing is opened before it is needed. */
export type Admin = AsyncDisposable & {
  readonly settings: Settings;
  readonly now: () => number;
  readonly operator: string; // who runs this, for the records
  /** One line for the person, not part of the answer. */
  tell(line: string): void;
  /** @throws AppError `request_invalid` where nobody can be asked */
  askPassword(whose: string): Promise<string>;
  askYes(question: string): Promise<boolean>;

  accounts(): Promise<Accounts>;
  /** By any spelling. @throws AppError `user_unknown` */
  user(name: string): Promise<ListedUser>;
  /** Of an active user; may be done by whoever may only read the accounts. @throws AppError `user_unknown` */
  activeUser(name: string): Promise<{ readonly id: string; readonly name: string }>;
  quotas(): Promise<Quotas>;
  audit(): Promise<Audit>;
  /**
   * Does something and writes it down, also when it failed. Where the record cannot be opened it is not done. A row that cannot be written afterwards
   * undoes nothing: then the person is told, and `isRecorded` is false.
   */
  act<Result>(what: AuditKind, about: About, work: () => Promise<Result>, detailOf?: (result: Result) => string): Promise<Result>;
  readonly isRecorded: boolean;
  /** @throws AppError `data_folder_unusable`: files made by somebody else could not be used by the process they are for */
  requireOwner(path: string): Promise<void>;
};

export type AdminIo = Pick<Admin, 'now' | 'operator' | 'tell' | 'askPassword' | 'askYes'> & { readonly uid: number | null };

export function openAdmin(settings: Settings, io: AdminIo): Admin {
  const stack = new AsyncDisposableStack();
  let isRecorded = true;
  const address = (name: string): DatabaseAddress =>
    settings.database === null ? { kind: 'sqlite', file: join(settings.data, name) } : { kind: 'postgres', url: settings.database };

  /** Else a database would be made in a folder that is none of ours. @returns its owner */
  async function requireThere(path: string): Promise<number> {
    try {
      return (await stat(path)).uid;
    } catch (cause) {
      const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
      const message = missing ? `there is no ${path}: set DRIFTLESS_DATA, or start the server once` : `${path} cannot be used`;
      throw new AppError('data_folder_unusable', message, { cause });
    }
  }

  async function requireOwner(path: string): Promise<void> {
    const uid = await requireThere(path);
    if (io.uid !== null && uid !== io.uid) {
      throw new AppError(
        'data_folder_unusable',
        `${path} belongs to another user of this machine: run this as that user, sudo -u '#${uid}'`,
      );
    }
  }

  async function own(name: string): Promise<DatabaseAddress> {
    if (settings.database === null) await requireOwner(join(settings.data, name));
    return address(name);
  }

  function once<Part>(open: () => Promise<Part>): () => Promise<Part> {
    let opening: Promise<Part> | undefined;
    return () => (opening ??= open());
  }
  const closing = <Part extends { close(): Promise<void> }>(part: Part): Part => stack.adopt(part, (open) => open.close());

  const accounts = once(async () => closing(await openAccounts(await own('accounts.db'))));
  const audit = once(async () => {
    if (settings.database === null) await requireThere(join(settings.data, 'accounts.db'));
    const onFailure = (): void => io.tell('the audit record cannot be written');
    return closing(await openAudit(address('audit.db'), { process: 'admin', now: io.now, onFailure }));
  });

  return {
    settings,
    ...io,
    accounts,
    audit,
    requireOwner,
    quotas: once(async () => closing(await openQuotas(await own('driftless.db')))),
    async user(name) {
      const user = await (await accounts()).user(name);
      if (user === null) throw new AppError('user_unknown', 'there is no such user');
      return user;
    },
    async activeUser(name) {
      const reader = openAccountsReader(address('accounts.db'));
      try {
        const user = await reader.findUser(name);
        if (user === null) throw new AppError('user_unknown', 'there is no such user, or the account is disabled');
        return user;
      } finally {
        await reader.close();
      }
    },
    async act(what, about, work, detailOf) {
      const record = await audit();
      const note = (result: AuditEvent['result'], more?: About): void =>
        record.record({ what, result, by: io.operator, ...about, ...more });
      try {
        const result = await work();
        note('ok', detailOf && { detail: detailOf(result) });
        return result;
      } catch (error) {
        note(error instanceof AppError ? error.code : 'internal');
        throw error;
      } finally {
        if (!(await record.flush())) isRecorded = false;
      }
    },
    get isRecorded() {
      return isRecorded;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
