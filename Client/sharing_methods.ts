import type { ZodType } from 'zod';
import type { Role } from '../Models/operations.ts';
import type { RestInvitation, RestMember } from '../Models/rest_sharing.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

export type Invitations = { readonly received: RestInvitation[]; readonly sent: RestInvitation[] };
/** `lifetimeS`: seconds from now in which it can be accepted, 30 days if not given. */
export type InviteOptions = { readonly role?: Role; readonly message?: string; readonly lifetimeS?: number };

/**
 * What people do with a folder together. Errors as of `Driftless`; what else, each says. A `viewer` reads, an `editor` changes what is in it,
 * an `owner` also invites, gives roles and takes members away. The first owner, whose folder it was, stays one.
 */
export type SharingMethods = {
  /**
   * Shares a folder, also one inside a shared folder.
   * @throws AppError `not_found`, `not_a_folder`, `forbidden` (not an owner), `user_unknown`, `invitation_invalid` (oneself, a member, invited already)
   */
  invite(path: string, user: string, options?: InviteOptions): Promise<RestInvitation>;
  /** To the user, and to folders of which the user is an owner; those that were answered or expired for 30 days more. Newest last. */
  invitations(): Promise<Invitations>;
  /**
   * @param options `at`: the path it gets, in the user's home; its name at the top if not given
   * @returns where the folder appeared
   * @throws AppError `not_found`, `invitation_invalid` (answered, expired, taken back), `already_exists`, `name_collides`, `forbidden` (`at` is in a shared folder)
   */
  accept(id: string, options?: { readonly at?: string }): Promise<{ path: string }>;
  /** Also takes back one of `invitations().sent`. @throws AppError `not_found`, `invitation_invalid` (not open any more) */
  decline(id: string): Promise<void>;
  /** Gives a shared folder up. @throws AppError `not_found`, `forbidden` (the first owner cannot leave; it came with the one it is in) */
  leave(path: string): Promise<void>;
  /** @throws AppError `not_found` */
  members(path: string): Promise<RestMember[]>;
  /**
   * Gives a member, or who is invited, another role.
   * @throws AppError `not_found`, `user_unknown` (neither), `forbidden` (not an owner; the first owner; less than what comes with the outer folder)
   */
  setRole(path: string, user: string, role: Role): Promise<RestMember>;
  /** Takes an open invitation back, or ends a membership. @throws AppError as `setRole` */
  uninvite(path: string, user: string): Promise<void>;
};

const loadShapes = () => import('../Models/rest_sharing.ts');
type Shapes = Awaited<ReturnType<typeof loadShapes>>;

export function sharingMethods(http: Http): SharingMethods {
  const call = restCaller(http, loadShapes);
  const answer = <T>(schema: (shapes: Shapes) => ZodType<T> | null, id: string, verb: 'accept' | 'decline', body?: object): Promise<T> =>
    call((shapes) => ({ schema: schema(shapes), method: 'POST', route: `${ROUTES.invitations}/${encodeURIComponent(id)}/${verb}`, body }));
  return {
    invite: (path, user, { role = 'viewer', message, lifetimeS } = {}) =>
      call(({ RestInvitation }) => ({
        schema: RestInvitation,
        method: 'POST',
        route: ROUTES.invitations,
        body: { path, user, role, message, lifetimeS },
      })),
    invitations: () => call(({ InvitationsPage }) => ({ schema: InvitationsPage, method: 'GET', route: ROUTES.invitations })),
    accept: (id, { at } = {}) => answer(({ AcceptResult }) => AcceptResult, id, 'accept', at === undefined ? undefined : { at }),
    decline: (id) => answer<void>(() => null, id, 'decline'),
    leave: (path) => call<void>(() => ({ schema: null, method: 'POST', route: ROUTES.leave, body: { path } })),
    async members(path) {
      const page = await call(({ MembersPage }) => ({ schema: MembersPage, method: 'GET', route: ROUTES.members, query: { path } }));
      return page.members;
    },
    setRole: (path, user, role) =>
      call(({ RestMember }) => ({ schema: RestMember, method: 'POST', route: ROUTES.members, body: { path, user, role } })),
    uninvite: (path, user) => call<void>(() => ({ schema: null, method: 'DELETE', route: ROUTES.members, query: { path, user } })),
  };
}
