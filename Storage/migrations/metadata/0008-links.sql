-- Public links, and who used them. A link is found by the hash of its token; the token itself is nowhere.
CREATE TABLE links (
  id {text} PRIMARY KEY, -- 32 hex digits
  token_hash {blob} NOT NULL UNIQUE, -- SHA-256
  maker_id {text} NOT NULL, -- user
  maker_name {text} NOT NULL,
  node {int8} NOT NULL, -- what it leads to, wherever that is now
  mode {text} NOT NULL, -- download, preview, upload, both
  password {text}, -- argon2id, in the usual $ notation
  created_at_ms {int8} NOT NULL,
  expires_at_ms {int8},
  revoked_at_ms {int8},
  uses_max {int8},
  uses {int8} NOT NULL,
  log_head {int8} NOT NULL -- seq of the newest row of link_accesses
) {strict};
CREATE INDEX links_maker ON links (maker_id);
CREATE INDEX links_node ON links (node);

-- Requests of one visitor that belong together are one row.
CREATE TABLE link_accesses (
  link {text} NOT NULL REFERENCES links (id),
  seq {int8} NOT NULL,
  action {text} NOT NULL, -- view, preview, download, zip, upload, password
  address {text} NOT NULL,
  path {text} NOT NULL, -- below the link
  content {text}, -- content id that was given out, 64 hex digits
  first_at_ms {int8} NOT NULL,
  last_at_ms {int8} NOT NULL,
  requests {int8} NOT NULL,
  bytes {int8} NOT NULL, -- of content, of all its requests
  PRIMARY KEY (link, seq)
) {strict_clustered};
