-- What an administrator allows. The row of the user '' is for everybody; what is null there is not limited, what is null of a user is as for everybody.
CREATE TABLE limits (
  user_id {text} PRIMARY KEY,
  quota {int8}, -- bytes of living files in the user's home and in the shared folders that the user owns; -1 is no limit
  file_size {int8}, -- bytes of one file; -1 is no limit
  allowed {text}, -- JSON array of extensions and kinds; files of no other are taken. Empty: all are
  refused {text} -- the same; files of these are not taken
) {strict};

-- Bytes of the living files of spaces whose owner has a quota, up to a row of the journal.
CREATE TABLE space_usage (
  space {int8} PRIMARY KEY,
  seq {int8} NOT NULL,
  bytes {int8} NOT NULL
) {strict};

-- The share of their quota that users were last warned of.
CREATE TABLE quota_warnings (
  user_id {text} PRIMARY KEY,
  percent {int8} NOT NULL -- 80 or 95; 0 when there is room again
) {strict};
