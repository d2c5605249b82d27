import type { ZodType } from 'zod';
import type { Role } from '../Models/operations.ts';
import type { RestInvitation, RestMember } from '../Models/rest.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';

export type Invitations = { readonly received: RestInvitation[]; readonly sent: RestInvitation[] };

/** What people do with a folder together. Errors as of `Driftless`; what else, each says. */
export type SharingMethods = {
  /** Shares a folder. @throws AppError `not_found`, `not_a_folder`, `forbidden` (not the owner), `user_unknown`, `invitation_invalid` (oneself, a member) */
  invite(path: string, user: string, options?: { role?: Exclude<Role, 'owner'>; message?: string }): Promise<RestInvitation>;
  /** Pending ones to the user, and those the user made or that are to a folder of the user's. */
  invitations(): Promise<Invitations>;
  /** @returns where the folder appeared. @throws AppError `not_found`, `invitation_invalid` (already answered) */
  accept(id: string): Promise<{ path: string }>;
  /** Also takes back one of `invitations().sent`. @throws AppError `not_found`, `invitation_invalid` (already answered) */
  decline(id: string): Promise<void>;
  /** Gives a shared folder up. @throws AppError `not_found`, `forbidden` (the owner cannot leave) */
  leave(path: string): Promise<void>;
  /** @throws AppError `not_found` */
  members(path: string): Promise<RestMember[]>;
};

const loadRest = () => import('../Models/rest.ts');
type Rest = Awaited<ReturnType<typeof loadRest>>;

export function sharingMethods(http: Http): SharingMethods {
  const call = restCaller(http, loadRest);
  const answer = <T>(schema: (rest: Rest) => ZodType<T> | null, id: string, verb: 'accept' | 'decline'): Promise<T> =>
    call((rest) => ({ schema: schema(rest), method: 'POST', route: `${ROUTES.invitations}/${encodeURIComponent(id)}/${verb}` }));
  return {
    invite: (path, user, { role = 'viewer', message } = {}) =>
      call(({ RestInvitation }) => ({
        schema: RestInvitation,
        method: 'POST',
        route: ROUTES.invitations,
        body: { path, user, role, message },
      })),
    invitations: () => call(({ InvitationsPage }) => ({ schema: InvitationsPage, method: 'GET', route: ROUTES.invitations })),
    accept: (id) => answer(({ AcceptResult }) => AcceptResult, id, 'accept'),
    decline: (id) => answer<void>(() => null, id, 'decline'),
    leave: (path) => call<void>(() => ({ schema: null, method: 'POST', route: ROUTES.leave, body: { path } })),
    async members(path) {
      const page = await call(({ MembersPage }) => ({ schema: MembersPage, method: 'GET', route: ROUTES.members, query: { path } }));
      return page.members;
    },
  };
}
