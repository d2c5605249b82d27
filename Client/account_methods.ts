import { prepareDisplayName, prepareEmail } from '../Models/credentials.ts';
import type { RestProfile } from '../Models/rest_profile.ts';
import { ROUTES } from '../Models/routes.ts';
import type { Http } from './http.ts';
import { restCaller } from './rest_call.ts';
import type { PasswordChange, Session } from './session/session.ts';

/** The account itself. What is changed is asked of the authentication daemon. Errors as of `Driftless`; what else, each says. */
export type AccountMethods = {
  /** What you are called and where mail reaches you; `null` for nothing. Who shares a folder with you sees the display name, nobody else the address. */
  profile(): Promise<RestProfile>;
  /** Sets what is given; `null` takes it back. @throws AppError `request_invalid` */
  setProfile(profile: { readonly displayName?: string | null; readonly email?: string | null }): Promise<RestProfile>;
  /**
   * Sets another password, with proof of the current one. The user's other sessions end unless `keepOtherSessions`; this one goes on. When it throws, the current
   * password holds; only after `auth_unreachable` or `busy` it may be the new one, and the message says so: log in to see which.
   * @throws AppError `credentials_wrong` (`current`), `request_invalid` (`next` is too short or long), `too_many_requests`, `server_key_changed`, `protocol_mismatch`
   */
  changePassword(change: Pick<PasswordChange, 'current' | 'next' | 'keepOtherSessions'>): Promise<void>;
};

export function accountMethods(http: Http, session: Pick<Session, 'change' | 'changePassword'>): AccountMethods {
  const call = restCaller(http, () => import('../Models/rest_profile.ts'));
  const profile = (): Promise<RestProfile> => call(({ RestProfile }) => ({ schema: RestProfile, method: 'GET', route: ROUTES.profile }));
  return {
    profile,
    async setProfile({ displayName, email }) {
      const name = displayName === undefined ? undefined : prepareDisplayName(displayName ?? '');
      const address = email === undefined ? undefined : prepareEmail(email ?? '');
      if (name !== undefined) await session.change({ kind: 'setDisplayName', displayName: name });
      if (address !== undefined) await session.change({ kind: 'setEmail', email: address });
      return profile();
    },
    changePassword: (change) => session.changePassword(change),
  };
}
