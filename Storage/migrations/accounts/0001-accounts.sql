CREATE TABLE users (
  id {text} PRIMARY KEY,            -- 32 hex digits, as all ids here
  name {text} NOT NULL,
  folded {text} NOT NULL UNIQUE,    -- names that fold alike are one name
  record {blob} NOT NULL,           -- OPAQUE registration record, 192 bytes
  ksf_memory_kib {int8} NOT NULL,   -- argon2id memory, KiB
  ksf_iterations {int8} NOT NULL,   -- argon2id passes
  ksf_parallelism {int8} NOT NULL,  -- argon2id lanes
  role {text} NOT NULL CHECK (role IN ('user', 'admin')),
  disabled {int8} NOT NULL CHECK (disabled IN (0, 1)),  -- 0 or 1
  created_at_ms {int8} NOT NULL     -- milliseconds since 1970, as all times here
) {strict_clustered};

CREATE TABLE devices (
  user_id {text} NOT NULL REFERENCES users (id),
  id {text} NOT NULL,
  name {text} NOT NULL,
  first_seen_ms {int8} NOT NULL,    -- milliseconds since 1970
  PRIMARY KEY (user_id, id)
) {strict_clustered};

CREATE TABLE sessions (
  id {text} PRIMARY KEY,
  user_id {text} NOT NULL REFERENCES users (id),
  device_id {text} NOT NULL,
  state {text} NOT NULL CHECK (state IN ('pending', 'live', 'ended')),
  created_at_ms {int8} NOT NULL,    -- milliseconds since 1970
  last_seen_ms {int8} NOT NULL,     -- milliseconds since 1970
  ended_at_ms {int8},               -- milliseconds since 1970
  ended_sequence {int8} UNIQUE,     -- position among all ended sessions, counted from 1
  CHECK ((state = 'ended') = (ended_sequence IS NOT NULL))
) {strict_clustered};
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_state ON sessions (state, last_seen_ms);

-- One row, updated in the transaction that uses its number: so numbers become visible in their order.
CREATE TABLE ended_counter (
  one {int8} PRIMARY KEY CHECK (one = 1),
  value {int8} NOT NULL             -- the last ended_sequence given out
) {strict_clustered};
INSERT INTO ended_counter VALUES (1, 0);
