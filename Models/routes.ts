/** The routes, so that client and server cannot disagree about them. */
export const ROUTES = {
  auth: '/v1/auth', // POST a datagram of 1200 bytes: the daemon's reply
  whoami: '/v1/whoami', // GET
  entry: '/v1/entry', // GET ?path: one entry; DELETE DeleteQuery
  list: '/v1/list', // GET ListQuery
  folders: '/v1/folders', // POST FolderBody
  files: '/v1/files', // POST multipart: UploadFields and the file. GET, HEAD ContentQuery: content, ranged, ETag
  preview: '/v1/preview', // GET ContentQuery: first 1024 bytes
  move: '/v1/move', // POST FromToBody
  copy: '/v1/copy', // POST FromToBody
  search: '/v1/search', // GET SearchParameters
  statistics: '/v1/statistics', // GET StatisticsParameters
  usage: '/v1/usage', // GET
  limits: '/v1/limits', // GET LimitsQuery; POST LimitsBody
  changes: '/v1/changes', // GET ChangesQuery
  versions: '/v1/versions', // GET HistoryPageQuery
  restore: '/v1/restore', // POST RestoreBody
  deeds: '/v1/deeds', // GET HistoryPageQuery: who did what to it
  trash: '/v1/trash', // GET TrashQuery
  undelete: '/v1/undelete', // POST UndeleteBody
  invitations: '/v1/invitations', // GET; POST InviteBody; POST :id/accept AcceptBody, :id/decline
  diff: '/v1/diff', // GET DiffQuery
  pins: '/v1/pins', // POST PinBody; DELETE PinQuery
  rewind: '/v1/rewind', // POST RewindBody: a preview
  undo: '/v1/undo', // POST UndoBody: a preview
  plans: '/v1/plans', // GET PlanQuery: more of a preview; POST PlanBody: does it
  events: '/v1/events', // GET as a WebSocket, see events.ts
  eventsDone: '/v1/events/done', // GET; POST DoneBody
  webhooks: '/v1/webhooks', // GET; POST WebhookBody; DELETE :id
  ping: '/v1/ping', // GET
  online: '/v1/online', // GET
  devices: '/v1/devices', // GET
  sessions: '/v1/sessions', // GET
  profile: '/v1/profile', // GET
  publications: '/v1/publications', // GET; POST PublicationBody; DELETE :id; POST :id/files AnnounceBody
  published: '/v1/published', // GET PublishedParameters
  publishedContent: '/v1/published-content', // GET PublishedContentQuery: the file, from its owner's device
  relay: '/v1/relay', // POST RelayQuery: that device's answer
  fetches: '/v1/fetches', // GET: who fetched what
  members: '/v1/members', // GET ?path; POST RoleBody: another role; DELETE MemberQuery
  leave: '/v1/leave', // POST PathBody
  links: '/v1/links', // GET LinksQuery; POST LinkBody; DELETE :id; GET :id/log. What visitors use is at LINK_PREFIX, see links.ts
  approvals: '/v1/approvals', // POST ApprovalBody
  syncStates: '/v1/sync-states', // POST SyncStateBody
  syncReports: '/v1/sync-reports', // POST SyncReportBody
  syncStatus: '/v1/sync-status', // GET
  places: '/v1/places', // POST PlacesBody
  have: '/v1/have', // binary, see Models/frames.ts
  push: '/v1/push',
  arriving: '/v1/arriving', // GET ?id: chunk frames of a file while it is pushed
  pull: '/v1/pull',
  tree: '/v1/tree',
  signature: '/v1/signature',
  ticketKeys: '/.well-known/jwks.json', // GET TicketKeySet
  openapi: '/v1/openapi.json',
} as const;
