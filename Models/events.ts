/**
 * What the server tells on an event connection: JSON texts. They say that something is new and never what: a client that hears one asks
 * for the changes behind its cursor, so one message lost or told twice does no harm.
 */
export type ServerEvent =
  /** From now on every change is told. */
  | { readonly type: 'connected' }
  /** Something the user can read, or an invitation, is new; all of it was durable at this moment. */
  | { readonly type: 'changed'; readonly at: Moment | null }
  /** A device of the same user is pushing a long new file: what came of it can be had already. */
  | ({ readonly type: 'arriving' } & ArrivingFile);

/** `path` as the operation is going to have it, not checked; `size` in bytes. */
export type ArrivingFile = { readonly id: string /* 32 hex digits */; readonly path: string; readonly size: number };

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
  if (event.type !== 'changed') return JSON.stringify(event);
  return JSON.stringify({ type: event.type, ...(event.at !== null && { at: momentText(event.at) }) });
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
  if (value.type === 'arriving') return parseArriving(value);
  return value.type === 'changed' ? { type: 'changed', at: 'at' in value ? parseMoment(value.at) : null } : null;
}

function parseArriving(value: object): ServerEvent | null {
  if (!('id' in value && 'path' in value && 'size' in value)) return null;
  const { id, path, size } = value;
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id) || typeof path !== 'string') return null;
  return typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? { type: 'arriving', id, path, size } : null;
}
