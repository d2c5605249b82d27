import type { RestInvitation } from '../client.ts';
import { argument, type Command, textOption } from './command.ts';
import { formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';

function invitationLine(invitation: RestInvitation, direction: 'from' | 'to'): string {
  const message = invitation.message === null ? '' : `: ${invitation.message}`;
  const { id, createdAt, folder, role, state } = invitation;
  return `${id}  ${formatTime(createdAt)}  ${folder} as ${role} ${direction} ${invitation[direction]} (${state})${message}`;
}

export const SHARING_COMMANDS: readonly Command[] = [
  {
    name: 'invite',
    args: '<path> <user>',
    summary: 'share a folder with somebody',
    options: [
      { flags: '--role <role>', text: 'what they may do', choices: ['viewer', 'editor'], standard: 'viewer' },
      { flags: '-m, --message <text>', text: 'a line they will read' },
    ],
    examples: ['invite /reports bob --role editor', 'invite /photos carol --message "from the summer"'],
    async run(run, args, options) {
      const role = options.role === 'editor' ? 'editor' : 'viewer';
      const message = textOption(options, 'message');
      const client = await run.client();
      const invitation = await client.invite(argument(args, 0), argument(args, 1), { role, ...(message === undefined ? {} : { message }) });
      return facts(invitation, `invited ${invitation.to} to ${invitation.folder} as ${invitation.role}: ${invitation.id}`);
    },
  },
  {
    name: 'invitations',
    args: '',
    summary: 'show the invitations you got and those you made',
    examples: ['invitations', 'invitations --json'],
    async run(run) {
      const { received, sent } = await (await run.client()).invitations();
      const lines = [...received.map((one) => invitationLine(one, 'from')), ...sent.map((one) => invitationLine(one, 'to'))];
      return facts({ received, sent }, ...(lines.length > 0 ? lines : ['no invitations']));
    },
  },
  {
    name: 'accept',
    args: '<id>',
    summary: 'accept an invitation',
    examples: ['accept 0123456789abcdef0123456789abcdef'],
    async run(run, args) {
      const accepted = await (await run.client()).accept(argument(args, 0));
      return facts(accepted, `accepted: the folder is at ${accepted.path}`);
    },
  },
  {
    name: 'decline',
    args: '<id>',
    summary: 'decline an invitation',
    examples: ['decline 0123456789abcdef0123456789abcdef'],
    async run(run, args) {
      await (await run.client()).decline(argument(args, 0));
      return facts({ id: argument(args, 0) }, 'declined');
    },
  },
  {
    name: 'members',
    args: '<path>',
    summary: 'show who shares a folder',
    examples: ['members /reports'],
    async run(run, args) {
      const members = await (await run.client()).members(argument(args, 0));
      return {
        kind: 'rows',
        rows: rowsOf(members, ({ user, role, state }) => `${role.padEnd(6)}  ${user}${state === 'invited' ? ' (invited)' : ''}`),
      };
    },
  },
  {
    name: 'leave',
    args: '<path>',
    summary: 'give up a folder that somebody shares with you',
    examples: ['leave /reports'],
    async run(run, args) {
      await (await run.client()).leave(argument(args, 0));
      return facts({ path: argument(args, 0) }, `left ${argument(args, 0)}`);
    },
  },
];
