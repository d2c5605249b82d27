/** Every limit of the system, in one place; units are the last word of each name. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const LIMITS = {
  nameBytesMax: 255, // UTF-8 bytes of one path component
  pathBytesMax: 4096,
  pathDepthMax: 128,
  userNameBytesMax: 64,
  deviceNameBytesMax: 64,
  displayNameBytesMax: 128,
  inviteLabelCharsMax: 128,
  emailBytesMax: 254,
  passwordBytesMin: 8,
  passwordBytesMax: 1024,

  loginsPerSecondMax: 400, // begun by all sources together, so that a flood of them leaves time for renewals
  guessesFree: 10, // passwords that may be tried for one name in a row; then one each so often
  guessWaitMs: 600_000, // doubled with each, up to
  guessWaitMsMax: 3_600_000,
  guessesMax: 100, // in a row; then none, until somebody logs in from a device that is known
  guessCountersMax: 100_000, // names and devices that are counted, whether there are such users or not
  symlinkTargetBytesMax: 4096,

  chunkBytesMin: 512 * KiB, // a file of at most this many bytes is one chunk
  chunkBytesNormal: 1 * MiB,
  chunkBytesMax: 4 * MiB,
  fileBytesMax: 100 * 1024 * MiB, // 100 GiB: as many chunks as one operation frame can name, should all be the smallest
  fileChunksMax: 204_800,

  packBytesMax: 64 * MiB, // a pack is closed once it is this long
  frameBytesMax: 8 * MiB, // one frame of a push, pull or tree stream, its header included
  batchOperationsMax: 2048, // operations the server commits in one transaction
  unrecordedBytesMax: 32 * MiB, // chunk bytes of a push that are written before they are made durable, beside as many that just are: a crash costs sending both again
  batchBytesMax: 8 * MiB, // chunk bytes written between two syncs
  heldBytesMax: 64 * MiB, // in the batches of all pushes; above it a batch has at most
  crowdedBatchBytesMax: 1 * MiB, // so much, and one chunk
  haveDigestsMax: 65_536, // digests in one `have` request
  pullDigestsMax: 131_072, // digests in one `pull` request
  signatureDigestsMax: 256, // chunks whose signatures one request asks for
  treePathsMax: 4096, // paths in one tree request
  treeBodyBytesMax: 4 * MiB,
  deltaBlockBytes: 16 * KiB, // least length of a signature block, see Models/delta.ts
  deltaBlocksMax: 96,

  jsonBodyBytesMax: 64 * KiB,
  multipartFieldsMax: 8,
  multipartFieldBytesMax: 8 * KiB,
  pageEntriesDefault: 1000,
  pageEntriesMax: 5000,
  previewBytes: 1024,
  searchTextBytesMax: 255,
  searchEntriesDefault: 100,
  typesMax: 256, // extensions and kinds in one rule
  invitationMessageBytesMax: 1024,
  membersPerSpaceMax: 1000, // invited users included
  invitationLifetimeMs: 30 * 24 * 3_600_000, // unless said otherwise
  invitationLifetimeMsMax: 366 * 24 * 3_600_000,
  invitationShownMs: 30 * 24 * 3_600_000, // how long one that was answered or expired is still told of
  diffBytesMax: 1 * MiB, // of each of two versions that are compared
  diffTimeoutMs: 250,
  diffEditsMax: 20_000, // lines that went or came
  backNodesMax: 100_000, // files and folders that one rewind or undo looks at
  planCharsKeptMax: 64 * MiB, // characters, of two bytes at most, of all plans to go back that are longer than a page, kept for
  planKeptMs: 60_000, // behind the last page that was asked for
  noticeBytesMax: 16 * KiB, // JSON of what a notice tells; an invitation's message fits, however much of it is escaped
  longRequestsMax: 16, // of those that look at much, at the same time: statistics, usage, differences, and going back
  longRequestsPerUserMax: 4,
  searchesMax: 32, // at the same time
  searchesPerUserMax: 4,
  invitesMax: 200, // that one user makes at once
  invitesPerUserMax: 20, // of one other
  inviteRestoreMs: 30_000, // and then one each so often
  announcesMax: 120, // requests that announce files, of one user at once
  announceRestoreMs: 250, // and then
  accountsMadeMax: 20, // from one source elsewhere at once, where everybody may register
  accountRestoreMs: 600_000, // and then one each so often
  sessionsFew: 16, // who has fewer may take the last quarter of the places
  lapsedShare: 0.01, // of the sessions that have not ended, and one: so many lapse together, and then none for
  lapsePauseMs: 3_600_000,
  sessionsBegunMax: 1000, // by one user at once, with the password, so that what is kept of ended ones has a bound
  promptsBegunMax: 100, // and from another session
  sessionRestoreMs: 10_000, // and then one each so often, of either kind
  devicesPerUserMax: 1024, // of more the one not seen for longest, without a session, is forgotten; a user is told of so many new ones
  devicesAskedMax: 1000, // looked up together
  devicesListedMax: 1000, // those seen last
  sessionsListedMax: 1000,
  usersRememberedMax: 100_000, // whose first limits a server knows to be set
  devicesRememberedMax: 100_000, // of which a server knows without asking that they are no new ones

  linksPerUserMax: 1000, // that are neither revoked nor expired
  linksMadeMax: 200, // by one user at once: each is told to the owners of what it shows, as its end is
  linkRestoreMs: 30_000, // and then one each so often
  linkEndedKeptMs: 90 * 86_400_000, // a link that was revoked or has expired is shown for so long
  linkPasswordBytesMin: 4,
  linkUsesMax: 1_000_000,
  linkSecondsMax: 10 * 366 * 86_400,
  linkUseWindowMs: 3_600_000, // so long behind the last of it, a ranged request of the same address for the same content is the same use
  linkLogRowsMax: 1000, // of one link; the oldest go first
  linkGuessesMax: 60, // unknown tokens that one address may ask for at once
  linkGuessesPerSecond: 1, // and then
  linkPasswordsPerAddressMax: 5, // wrong passwords of one address for one link at once
  linkPasswordsPerLinkMax: 100, // of all addresses
  linkPasswordRestoreMs: 60_000, // and then one each so often
  linkPasswordsHashedMax: 2, // at the same time
  linkPasswordsWaitingMax: 32,
  linkVisitsMax: 600, // requests of one address at once
  linkVisitRestoreMs: 20, // and then one each so often
  linkUploadsPerVisitorMax: 4, // of `uploadsMax` by links, for one address
  zipsPerVisitorMax: 2, // of `zipsMax`
  linkPassMs: 12 * 3_600_000, // a browser that gave the password is not asked again for so long
  linkCheckMs: 100, // while content flows, so often is it asked whether the link is still open
  linkPageEntriesMax: 5000, // a page shows no more of a folder
  linkFormFilesMax: 100, // files in one upload form
  linkNameAttemptsMax: 10_000, // NAME, NAME (2), NAME (3)…
  zipEntriesMax: 65_000,
  zipsMax: 8, // at the same time

  headerBytesMax: 32 * KiB, // request line and headers: the longest path, percent-encoded, and a page mark fit
  headersTimeoutMs: 15_000, // from the beginning of a connection or request to the end of its headers
  requestTimeoutMs: 30_000, // the whole body of a request that is not a stream
  bytesPerSecondMin: 1024, // of a body that is a stream, and of an answer that is waited for; a connection that is slower is cut
  bodyWindowMs: 30_000, // looked at over so long: who goes from one network to another is still there afterwards
  answerWindowMs: 120_000, // longer, because the system tells only now and then that bytes were taken
  rateCheckMs: 1000,
  carriedMax: 256, // datagrams that the HTTP server has taken to the daemon and not heard of yet
  carriedPerAddressMax: 16,
  carriedTimeoutMs: 3000,
  handshakeTimeoutMs: 10_000, // of TLS
  idleSocketTimeoutMs: 120_000, // no byte in or out during a request
  streamTimeoutMs: 24 * 3_600_000, // one upload, push or pull in all, as long as bytes flow
  uploadWindowBytes: 8 * MiB, // content of one REST upload that is held, and made durable at once; at least 2 * chunkBytesMax
  arrivingBytesMin: 16 * MiB, // a new file of at least so many is told of while it is pushed
  arrivalsMax: 64, // of those at the same time
  arrivalChunksMax: 16_384, // of one of them: what comes behind is fetched once all of it was sent
  followersMax: 64, // requests for what came of them, at the same time; each holds a chunk
  pushesMax: 64, // push streams at the same time
  pullsMax: 128, // pulls at the same time; each holds two chunks, with deltas four and what they are found with, and the digests that it was asked for
  uploadsMax: 16, // REST uploads at the same time
  drainTimeoutMs: 5000, // after a refusal: how long the rest of a body is read away so that the answer can arrive
  shutdownTimeoutMs: 10_000, // requests under way when the server is told to stop
  requestsPerSocketMax: 100_000,
  keepAliveTimeoutMs: 72_000,
  connectionsMax: 16_384,
  connectionsPerAddressMax: 64, // an IPv4 address or an IPv6 /64, on which no ticket was shown; none where they come from this machine
  knownConnectionsPerAddressMax: 1024, // on which one was
  eventLinksMax: 8192, // event connections at the same time; each is one of `connectionsMax`, and costs under 20 KiB while nothing happens
  eventLinksPerUserMax: 512, // so that no user takes a tenth of them
  eventGapMs: 10, // between two messages on one event connection; what changes meanwhile is told with the second
  eventPingMs: 30_000, // a client that has not answered the last ping by the next one is dropped
  eventCheckMs: 500, // how often it is asked whether the session of an event connection has ended
  eventMessageBytesMax: 1024, // of what a client sends, which is read away
  eventMessagesMax: 32, // so many from one client between two pings
  eventOutboxChars: 64 * KiB, // waiting to be sent on one event connection; above it nothing is added
  eventPageChanges: 100, // read together for a client that is behind
  webhooksPerUserMax: 10,
  webhookUrlCharsMax: 2048,
  webhookBatchChanges: 100, // in one request
  webhookBatchBytes: 256 * KiB, // of JSON; one change goes however long it is
  webhookGapMs: 250, // between two requests of one webhook
  webhookTimeoutMs: 10_000, // of one request, from the look-up of the name on
  webhookAnswerBytesMax: 16 * KiB, // read away of an answer
  webhookRetryMs: 1000, // after the first failure; doubled with each, up to
  webhookRetryMsMax: 3_600_000,
  webhookGiveUpMs: 3 * 86_400_000, // failing for so long ends it
  webhookLookMs: 30_000, // so often is looked for what other servers on the database have changed
  webhookRequestsMax: 16, // at the same time
  webhookRequestsPerUserMax: 2,
  presenceGraceMs: 5000, // a device without a connection for so long has gone
  eventCloseTimeoutMs: 2000, // for the client to answer that the connection is being closed
  deletesFreeMax: 100, // files that one device may delete in one space within the window, however few there are
  deletesFreeShare: 0.25, // of the files there were when the window began; what is above both is held until approved
  deleteWindowMs: 600_000,
  deleteApprovalMs: 600_000, // how long an approval lets deletes through
  deleteWindowsMax: 10_000, // devices and spaces whose deletes are counted at the same time
  syncStatesPerUserMax: 256, // sync indexes of one user; of more the one not used for longest is forgotten
  publicationsPerDeviceMax: 64,
  publicationUsersMax: 100, // listed one by one
  publishedFilesMax: 10_000, // in one publication
  announcedFilesMax: 1000, // in one request
  announceBodyBytesMax: 1024 * KiB,
  relayAnswerMs: 10_000, // for a device to begin sending what it was asked for
  relayCheckMs: 1000, // how often it is asked whether a fetch under way is still allowed
  relaysMax: 256, // fetches at the same time
  relaysPerUserMax: 16, // that one user asks for
  relaysPerPublicationMax: 12,
  fetchesKeptMs: 400 * 24 * 3_600_000, // how long it is known who fetched what
  fetchesPerReaderMax: 10_000, // so many of one user from one other, and a hundred more; the oldest go first
  fetchesPerOwnerMax: 100_000, // and of all users from one
  syncReportMissingMax: 2000, // entries that a device tells it does not have; if there are more it tells of nothing that it has
  syncReportCountedMs: 30 * 24 * 3_600_000, // a device not heard of for so long counts for nothing
  placesPathsMax: 1000, // files in one request
  ticketBytesMax: 2048,
  ticketsCachedMax: 10_000,
  idempotencyKeyBytesMax: 255,

  logBytesMax: 64 * MiB, // of the file that is written, and as much of the one before
  logBytesUnwritten: 256 * KiB, // kept while the disk is full, and the line that goes over it; further ones are dropped
  auditGatherMs: 200, // events are written together so often; what a kill can lose
  auditRetryMs: 1000, // when they cannot be written
  auditUnwrittenMax: 8192, // rows kept meanwhile; further events are only counted
  auditRowsPerMinute: { each: 16, ok: 4096, refused: 512 }, // of one source, of all that was done, and refused; above it what differs is told together, see Storage/audit_rows.ts
  auditDetailCharsMax: 256,
  auditDoneRowsMax: 400_000, // of what was done; the oldest go first
  auditRefusedRowsMax: 100_000, // of what was refused
  auditKeptMs: 400 * 24 * 3_600_000, // behind the time of so many later things that were done:
  auditTimeRows: 100,
  auditPageMax: 1000,
} as const;
