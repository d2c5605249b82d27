/** What a user says of themself; empty for nothing. Changed by `Sessions.changeInSession`. */
export type UserProfile = { readonly displayName: string; readonly email: string };

export interface ProfilesReader {
  userProfile(userId: string): Promise<UserProfile>;
  /** By the names given, of those users alone who say something. */
  displayNames(userNames: readonly string[]): Promise<ReadonlyMap<string, string>>;
}
