/**
 * What the server tells on an event connection: JSON texts. They say that something is new and never what: a client that hears one asks
 * for the changes behind its cursor, so one message lost or told twice does no harm.
 */
export type ServerEvent = {
  /** `connected`: from now on every change is told. `changed`: something the user can read, or an invitation, is new. */
  readonly type: 'connected' | 'changed';
};

export function eventText(event: ServerEvent): string {
  return JSON.stringify(event);
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
  const { type } = value;
  return type === 'connected' || type === 'changed' ? { type } : null;
}
