-- Spaces, nodes, journal and chunks. Ids of spaces, nodes, commits and packs come from one counter and are below 2^53.
-- Times: _ms is milliseconds, _us microseconds since 1970. seq is a number in its space's journal.

CREATE TABLE settings (name {text} PRIMARY KEY, value {text} NOT NULL) {strict};

CREATE TABLE counters (name {text} PRIMARY KEY, next {int8} NOT NULL) {strict};
INSERT INTO counters (name, next) VALUES ('id', 1);

CREATE TABLE spaces (
  id {int8} PRIMARY KEY,
  root {int8} NOT NULL, -- node
  head {int8} NOT NULL, -- seq of the newest journal row
  owner_id {text} NOT NULL, -- user
  owner_name {text} NOT NULL,
  home_of {text} UNIQUE, -- user; null for a shared space
  deleted_at_ms {int8} -- the owner deleted the shared space; its rows stay
) {strict};

CREATE TABLE members (
  space {int8} NOT NULL REFERENCES spaces (id),
  user_id {text} NOT NULL,
  user_name {text} NOT NULL,
  role {int8} NOT NULL, -- 0 viewer, 1 editor, 2 owner
  joined_seq {int8} NOT NULL, -- the member's change feed of this space begins behind it
  PRIMARY KEY (space, user_id)
) {strict};
CREATE INDEX members_user ON members (user_id);

CREATE TABLE invitations (
  id {text} PRIMARY KEY, -- 32 hex digits
  space {int8} NOT NULL REFERENCES spaces (id),
  from_id {text} NOT NULL,
  from_name {text} NOT NULL,
  to_id {text} NOT NULL,
  to_name {text} NOT NULL,
  folder_name {text} NOT NULL,
  role {int8} NOT NULL,
  state {text} NOT NULL, -- pending, accepted, declined, revoked
  message {text},
  created_at_ms {int8} NOT NULL
) {strict};
CREATE INDEX invitations_to ON invitations (to_id) WHERE state = 'pending';
CREATE INDEX invitations_from ON invitations (from_id) WHERE state = 'pending';
CREATE INDEX invitations_space ON invitations (space) WHERE state = 'pending';

-- What is there now, with the newest version's fields repeated so that a listing reads one table. A deleted node stays, with all
-- below it untouched: what cannot be reached from its space's root is not there.
CREATE TABLE nodes (
  id {int8} PRIMARY KEY,
  space {int8} NOT NULL,
  parent {int8}, -- node; null for a space's root
  name {text} NOT NULL,
  key {text} NOT NULL, -- folded name, unique among living siblings
  kind {int8} NOT NULL, -- 0 file, 1 folder, 2 symlink, 3 mount
  version {int8} NOT NULL, -- seq of the newest version
  size {int8} NOT NULL, -- bytes
  mtime_us {int8} NOT NULL,
  digest {blob}, -- content id, 32 bytes
  executable {int8} NOT NULL, -- 0 or 1
  chunk_count {int8} NOT NULL,
  target {text}, -- of a symlink
  mount {int8}, -- space shown here
  deleted_seq {int8}
) {strict};
CREATE UNIQUE INDEX nodes_child ON nodes (parent, key) WHERE deleted_seq IS NULL;
CREATE INDEX nodes_folder ON nodes (parent, id) WHERE kind IN (1, 3) AND deleted_seq IS NULL;
CREATE INDEX nodes_mount ON nodes (space, mount) WHERE mount IS NOT NULL;

-- One row per change; a row that carries content is also the version of that number.
CREATE TABLE journal (
  space {int8} NOT NULL,
  seq {int8} NOT NULL, -- without gaps in a space
  kind {int8} NOT NULL, -- index in JOURNAL_KINDS
  node {int8} NOT NULL,
  path {text} NOT NULL, -- from the space's root, names as of then
  from_path {text}, -- of a move
  size {int8} NOT NULL, -- bytes
  mtime_us {int8} NOT NULL,
  digest {blob},
  executable {int8} NOT NULL,
  target {text},
  manifest {blob}, -- of two or more chunks: digest and length (u32, big-endian) of each
  commit_id {int8} NOT NULL,
  op {int8}, -- number in the stream of the operation whose result this row is
  PRIMARY KEY (space, seq)
) {strict_clustered};

-- Who made the rows first_seq to last_seq of a space, and in which stream of operations.
CREATE TABLE commits (
  id {int8} PRIMARY KEY,
  space {int8} NOT NULL,
  first_seq {int8} NOT NULL,
  last_seq {int8} NOT NULL,
  stream {blob}, -- 16 bytes
  user_id {text} NOT NULL,
  user_name {text} NOT NULL,
  device {text} NOT NULL,
  at_ms {int8} NOT NULL
) {strict};
CREATE INDEX commits_stream ON commits (stream);

CREATE TABLE packs (id {int8} PRIMARY KEY, name {text} NOT NULL UNIQUE) {strict};

-- A chunk is known once per space that may read it; the rows of one digest point to the same bytes.
CREATE TABLE chunks (
  digest {blob} NOT NULL,
  space {int8} NOT NULL,
  pack {int8} NOT NULL,
  start {int8} NOT NULL, -- bytes, of the frame in the pack
  length {int8} NOT NULL, -- bytes of content
  PRIMARY KEY (digest, space)
) {strict_clustered};
