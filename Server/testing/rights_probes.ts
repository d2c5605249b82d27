import { LINK_PREFIX } from '../../Models/links.ts';
import { ROUTES } from '../../Models/routes.ts';
import type { Probe } from './rights_probe.ts';
import { ENTRY_PROBES } from './rights_probes_entries.ts';
import { PAST_PROBES } from './rights_probes_past.ts';
import { SHARING_PROBES } from './rights_probes_sharing.ts';
import { TRANSFER_PROBES } from './rights_probes_transfer.ts';

export const PROBES: readonly Probe[] = [...ENTRY_PROBES, ...TRANSFER_PROBES, ...PAST_PROBES, ...SHARING_PROBES];

const OF_THE_CALLER = 'is about the caller alone: what it reads and writes is found by their id';
const A_STEP = 'a step of the walk asks it, also of what is not there for who asks';
const A_VISIT = 'asked with the links of the walk, by somebody without an account';

/** Routes without a probe, and why. Every other one in the table of routes has some. */
export const UNPROBED: Readonly<Record<string, string>> = {
  [`GET ${ROUTES.whoami}`]: 'tells what the ticket says',
  [`GET ${ROUTES.ping}`]: 'tells the time it took',
  [`GET ${ROUTES.online}`]: 'tells of connections, and this walk has none: Server/events/events_test.ts',
  [`GET ${ROUTES.events}`]: 'is a connection; what it tells is the feed, followed here by a device of each user',
  [`GET ${ROUTES.eventsDone}`]: OF_THE_CALLER,
  [`POST ${ROUTES.eventsDone}`]: OF_THE_CALLER,
  [`GET ${ROUTES.webhooks}`]: OF_THE_CALLER,
  [`POST ${ROUTES.webhooks}`]: OF_THE_CALLER,
  [`DELETE ${ROUTES.webhooks}/:id`]: OF_THE_CALLER,
  [`GET ${ROUTES.profile}`]: OF_THE_CALLER,
  [`GET ${ROUTES.devices}`]: OF_THE_CALLER,
  [`GET ${ROUTES.sessions}`]: OF_THE_CALLER,
  [`GET ${ROUTES.fetches}`]: OF_THE_CALLER,
  [`GET ${ROUTES.syncStatus}`]: OF_THE_CALLER,
  [`POST ${ROUTES.syncReports}`]: OF_THE_CALLER,
  [`POST ${ROUTES.syncStates}`]: OF_THE_CALLER,
  [`POST ${ROUTES.approvals}`]: OF_THE_CALLER,
  [`POST ${ROUTES.relay}`]: 'takes the answer of a device that was asked, by a number that only this device was told',
  [`GET ${ROUTES.arriving}`]: 'gives what is being sent, by a number that was told to those who may read it: Server/arrivals_test.ts',
  [`POST ${ROUTES.undelete}`]: A_STEP,
  [`POST ${ROUTES.publications}`]: A_STEP,
  [`POST ${ROUTES.invitations}/:id/decline`]: 'asked together with accept',
  [`DELETE ${ROUTES.links}/:id`]: A_STEP,
  [`GET ${LINK_PREFIX}/:token`]: A_VISIT,
  [`GET ${LINK_PREFIX}/:token/*`]: A_VISIT,
  [`PUT ${LINK_PREFIX}/:token/*`]: A_VISIT,
  [`HEAD ${LINK_PREFIX}/:token`]: 'has the handler of GET',
  [`HEAD ${LINK_PREFIX}/:token/*`]: 'has the handler of GET',
  [`POST ${LINK_PREFIX}/:token`]: 'takes what PUT takes, as a form',
  [`POST ${LINK_PREFIX}/:token/*`]: 'takes what PUT takes, as a form',
};
