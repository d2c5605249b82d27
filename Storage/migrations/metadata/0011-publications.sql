-- Files that devices announce without storing them, who may fetch them, and who did.

CREATE TABLE publications (
  id {text} PRIMARY KEY, -- 32 hex digits
  user_id {text} NOT NULL,
  user_name {text} NOT NULL,
  device {text} NOT NULL,
  name {text} NOT NULL,
  audience {text} NOT NULL, -- everyone, users, space; the user is always among them
  space {int8} REFERENCES spaces (id), -- whose members; null unless audience is space
  made_at_ms {int8} NOT NULL,
  UNIQUE (user_id, device, name)
) {strict};
CREATE INDEX publications_audience ON publications (audience, space);

CREATE TABLE publication_users (
  publication {text} NOT NULL REFERENCES publications (id),
  user_id {text} NOT NULL,
  user_name {text} NOT NULL,
  PRIMARY KEY (publication, user_id)
) {strict_clustered};
CREATE INDEX publication_users_user ON publication_users (user_id);

CREATE TABLE published_files (
  publication {text} NOT NULL REFERENCES publications (id),
  path {text} NOT NULL, -- relative, components divided by slashes
  size {int8} NOT NULL, -- bytes
  digest {blob} NOT NULL, -- SHA-256 of the content
  announced_at_ms {int8} NOT NULL,
  PRIMARY KEY (publication, path)
) {strict_clustered};

CREATE TABLE fetches (
  id {text} PRIMARY KEY, -- 32 hex digits
  owner_id {text} NOT NULL, -- user
  name {text} NOT NULL, -- of the publication, a slash, and the path
  size {int8} NOT NULL, -- bytes of the whole file
  digest {blob} NOT NULL,
  user_id {text} NOT NULL, -- who fetched
  user_name {text} NOT NULL,
  device {text} NOT NULL,
  start {int8} NOT NULL, -- first byte asked for
  length {int8} NOT NULL, -- bytes asked for
  sent {int8}, -- bytes given on; null while it runs
  at_ms {int8} NOT NULL
) {strict};
CREATE INDEX fetches_owner ON fetches (owner_id, at_ms, id);
