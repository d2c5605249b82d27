/**
 * What the server tells on an event connection: JSON texts. They say that something is new and never what: a client that hears one asks
 * for the changes behind its cursor, so one message lost or told twice does no harm.
 */
export type ServerEvent =
  /** From now on every change is told. */
  | { readonly type: 'connected' }
  /** Something the user can read, or an invitation, is new; all of it was durable at this moment. */
  | { readonly type: 'changed'; readonly at: Moment | null };

/** A time by the clock of one server process: those of two processes say nothing about each other. */
export type Moment = { readonly server: string /* 8 hex digits, random */; readonly us: number };

export function isBefore(a: Moment, b: Moment): boolean {
  return a.server === b.server && a.us < b.us;
}

export function momentText({ server, us }: Moment): string {
  return `${server}.${us}`;
}

/** @returns `null` for what is none */
export function parseMoment(text: unknown): Moment | null {
  const [, server, us] = typeof text === 'string' ? (/^([0-9a-f]{8})\.(\d{1,15})$/.exec(text) ?? []) : [];
  return server === undefined ? null : { server, us: Number(us) };
}

export function eventText(event: ServerEvent): string {
  return JSON.stringify(event.type === 'changed' && event.at !== null ? { ...event, at: momentText(event.at) } : { type: event.type });
}

/** By hand, because a schema takes longer to load than to do without. @returns null for what this version does not know */
export function parseEvent(text: unknown): ServerEvent | null {
  if (typeof text !== 'string') return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  if (value.type === 'connected') return { type: 'connected' };
  return value.type === 'changed' ? { type: 'changed', at: 'at' in value ? parseMoment(value.at) : null } : null;
}
