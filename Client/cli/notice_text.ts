import { formatBytes } from '../../Models/format_bytes.ts';
import type { NoticeDetails, NoticeKind } from '../../Models/notices.ts';

type NameOf = (device: string) => string;

/** What each kind of notice says to a person; the facts are those of docs/PROTOCOL.md. */
const TEXTS: Readonly<Record<NoticeKind, (details: NoticeDetails, nameOf: NameOf) => string>> = {
  invited: ({ id, folder, from, role, message }) =>
    `${from} invites you to ${folder} as ${role}${message === null ? '' : `: ${message}`}; "accept ${id}" takes it`,
  answered: ({ folder, from, to, state }) =>
    state === 'revoked'
      ? `the invitation of ${to} to ${folder}, by ${from}, was taken back`
      : `${to} ${state} the invitation to ${folder} by ${from}`,
  role: ({ path, role }) => `you are ${role} of ${path} now`,
  link: ({ link, maker, mode, path, state }) =>
    state === 'revoked'
      ? `the public link ${link} of ${maker}${shows(path)} was revoked`
      : `${maker} made a public link (${mode})${shows(path)}; "unlink ${link}" ends it`,
  quota: ({ percent, used, quota }) => `${formatBytes(Number(used))} of ${formatBytes(Number(quota))} are used, ${percent} % or more`,
  held: ({ device, deleted, living }, nameOf) => `deletes of ${nameOf(String(device))} wait for "approve": ${deleted} of ${living} files`,
  device: ({ device, name, revoked }) => `${name === '' ? device : name} ${revoked === true ? 'was revoked' : 'is new among your devices'}`,
  webhook: ({ host, state, reason }) =>
    state === 'failed'
      ? `the webhook to ${host} is sent nothing more: ${reason}`
      : `a webhook to ${host} was ${state === 'active' ? 'added' : state}`,
};

function shows(path: NoticeDetails[string] | undefined): string {
  return path == null ? '' : ` to ${path}`;
}

/** @param nameOf what a device is called, by its id */
export function noticeText(kind: string, details: NoticeDetails, nameOf: NameOf): string {
  return Object.hasOwn(TEXTS, kind) ? TEXTS[kind as NoticeKind](details, nameOf) : JSON.stringify(details);
}
