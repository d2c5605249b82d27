import { parseDuration } from '../../Models/duration.ts';
import { AppError } from '../../Models/errors.ts';
import type { RestInvitation, RestMember } from '../client.ts';
import { argument, type Command, textOption } from './command.ts';
import { formatTime } from './format.ts';
import { facts, rowsOf } from './output.ts';

const ROLES = ['viewer', 'editor', 'owner'] as const;

/** A role as commander has let it through. */
function roleOf(text: string | undefined): (typeof ROLES)[number] {
  const role = ROLES.find((known) => known === text);
  if (role === undefined) throw new AppError('request_invalid', `a role is one of ${ROLES.join(', ')}`);
  return role;
}

function stateOf({ state, expiresAt, answeredAt }: RestInvitation): string {
  if (state === 'pending') return expiresAt === null ? state : `${state} until ${formatTime(expiresAt)}`;
  const at = answeredAt ?? expiresAt;
  return at === null ? state : `${state} ${formatTime(at)}`;
}

function invitationLine(invitation: RestInvitation, direction: 'from' | 'to'): string {
  const message = invitation.message === null ? '' : `: ${invitation.message}`;
  const { id, createdAt, folder, role } = invitation;
  return `${id}  ${formatTime(createdAt)}  ${folder} as ${role} ${direction} ${invitation[direction]} (${stateOf(invitation)})${message}`;
}

/** What somebody is called stands last and is quoted: it may say anything. */
function memberLine({ user, role, state, inherited, displayName }: RestMember): string {
  const note = state === 'invited' ? ' (invited)' : inherited ? ' (from the shared folder around it)' : '';
  return `${role.padEnd(6)}  ${user}${note}${displayName === null ? '' : `  ${JSON.stringify(displayName)}`}`;
}

export const SHARING_COMMANDS: readonly Command[] = [
  {
    name: 'invite',
    args: '<path> <user>',
    summary: 'share a folder with somebody',
    options: [
      { flags: '--role <role>', text: 'what they may do', choices: ROLES, standard: 'viewer' },
      { flags: '-m, --message <text>', text: 'a line they will read' },
      { flags: '--expires <time>', text: 'how long it can be accepted, like 12h or 7d; 30 days if not given' },
    ],
    about: 'A viewer reads, an editor changes what is in the folder, an owner also invites, gives roles and takes members away.',
    examples: ['invite /reports bob --role editor', 'invite /photos carol --message "from the summer" --expires 7d'],
    async run(run, args, options) {
      const role = roleOf(textOption(options, 'role'));
      const message = textOption(options, 'message');
      const expires = textOption(options, 'expires');
      const client = await run.client();
      const invitation = await client.invite(argument(args, 0), argument(args, 1), {
        role,
        ...(message !== undefined && { message }),
        ...(expires !== undefined && { lifetimeS: parseDuration(expires) }),
      });
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
    options: [{ flags: '--at <path>', text: 'the path it gets in your home; its name at the top if not given' }],
    examples: ['accept 0123456789abcdef0123456789abcdef', 'accept 0123456789abcdef0123456789abcdef --at /work/reports'],
    async run(run, args, options) {
      const at = textOption(options, 'at');
      const accepted = await (await run.client()).accept(argument(args, 0), at === undefined ? {} : { at });
      return facts(accepted, `accepted: the folder is at ${accepted.path}`);
    },
  },
  {
    name: 'decline',
    args: '<id>',
    summary: 'decline an invitation, or take back one that you made',
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
    about: 'Behind the name of each member stands, quoted, what they say to be called ("driftless profile").',
    examples: ['members /reports'],
    async run(run, args) {
      const members = await (await run.client()).members(argument(args, 0));
      return {
        kind: 'rows',
        rows: rowsOf(members, memberLine),
      };
    },
  },
  {
    name: 'role',
    args: '<path> <user> <role>',
    summary: 'give a member, or who is invited, another role',
    examples: ['role /reports bob viewer', 'role /reports carol owner'],
    async run(run, args) {
      const [path, user, role] = [argument(args, 0), argument(args, 1), roleOf(argument(args, 2))];
      const member = await (await run.client()).setRole(path, user, role);
      return facts(
        member,
        `${member.user} is ${member.role} of ${path} now${member.state === 'invited' ? ', once the invitation is accepted' : ''}`,
      );
    },
  },
  {
    name: 'uninvite',
    args: '<path> <user>',
    summary: 'take an invitation back, or end a membership',
    examples: ['uninvite /reports bob'],
    async run(run, args) {
      const [path, user] = [argument(args, 0), argument(args, 1)];
      await (await run.client()).uninvite(path, user);
      return facts({ path, user }, `${user} has nothing of ${path} any more`);
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
