/** What a user is told that is no change of a file or folder; what `details` holds for each kind stands in docs/PROTOCOL.md. */
export const NOTICE_KINDS = ['invited', 'answered', 'role', 'link', 'quota', 'held', 'device', 'webhook'] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];
export type NoticeDetails = Readonly<Record<string, string | number | boolean | null>>;
export type Notice = { readonly kind: NoticeKind; readonly details: NoticeDetails };
