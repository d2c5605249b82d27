/** What a user says of themself; empty for nothing. Changed by `Sessions.changeInSession`. */
export type UserProfile = { readonly displayName: string; readonly email: string };

export interface ProfilesReader {
  userProfile(userId: string): Promise<UserProfile>;
}
