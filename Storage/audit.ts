import type { AuditKind, AuditProcess, AuditResult } from '../Models/audit.ts';

/**
 * Something that an administrator may want to know later. No field may hold a secret; of a name that nobody has, nothing is told, because people type
 * passwords where names belong.
 */
export type AuditEvent = {
  readonly what: AuditKind;
  readonly result: AuditResult;
  /** Whom it concerns. */
  readonly userId?: string | null | undefined;
  readonly userName?: string | null | undefined;
  readonly deviceId?: string | null | undefined;
  /** Who did it, if not they themselves: the name of an administrator. */
  readonly by?: string | null | undefined;
  /** Where it came from, an IP address. */
  readonly address?: string | null | undefined;
  /** A few words, cut after `LIMITS.auditDetailCharsMax`. */
  readonly detail?: string | null | undefined;
};

/** One row: what happened, or the like of it, `count` times within a minute. Texts hold no control characters. What is `null` is not known, or differs. */
export type AuditEntry = {
  readonly number: number; // later ones have higher numbers
  readonly process: AuditProcess;
  readonly what: string; // AuditKind; an older program reads what a newer one wrote
  readonly result: string; // AuditResult
  readonly userId: string | null;
  readonly userName: string | null;
  readonly deviceId: string | null;
  readonly by: string | null;
  readonly address: string | null;
  readonly detail: string | null;
  readonly firstAtMs: number; // milliseconds since 1970
  readonly lastAtMs: number; // milliseconds since 1970
  readonly count: number;
};

export type AuditQuery = {
  /** Nothing that was last before, milliseconds since 1970. */
  readonly since?: number | undefined;
  /** Id or name: what concerns the user, or was done by them. */
  readonly user?: string | undefined;
  readonly what?: AuditKind | undefined;
  /** `next` of the page before. */
  readonly after?: number | undefined;
  /** Nothing with a lower number. */
  readonly from?: number | undefined;
  /** At most `LIMITS.auditPageMax`. */
  readonly limit: number;
};

/** What was done, refused and administered. Several processes write it at the same time. Contract: Storage/testing/audit_contract.ts. */
export interface Audit {
  /**
   * Neither waits, nor throws, nor fails what it tells of. It is durable about `LIMITS.auditGatherMs` later, and lost if the process is killed before.
   * However much is recorded, few rows come of it, see audit_rows.ts.
   */
  record(event: AuditEvent): void;
  /** The newest first. @throws AppError `storage_unavailable`, `corrupt` */
  page(query: AuditQuery): Promise<{ readonly entries: readonly AuditEntry[]; readonly next: number | null }>;
  /** Resolves when all that was recorded before is durable, or could not be written: then with false, and it is kept. */
  flush(): Promise<boolean>;
  close(): Promise<void>;
}
