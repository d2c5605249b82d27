CREATE TABLE audit (
  number {int8} PRIMARY KEY,        -- counted from 1 in the order of the commits
  process {text} NOT NULL,          -- who wrote it: auth, server, admin
  what {text} NOT NULL,             -- Models/audit.ts
  result {text} NOT NULL,           -- ok, or the code of the refusal
  user_id {text},
  user_name {text},
  device_id {text},
  done_by {text},                   -- name of an administrator
  address {text},
  detail {text},
  first_at_ms {int8} NOT NULL,      -- milliseconds since 1970
  last_at_ms {int8} NOT NULL,       -- milliseconds since 1970
  count {int8} NOT NULL,            -- so many of the kind between the two
  refused {int8} NOT NULL CHECK (refused IN (0, 1))
) {strict};
CREATE INDEX audit_by_outcome ON audit (refused, number);
CREATE INDEX audit_by_time ON audit (last_at_ms);
CREATE INDEX audit_by_user ON audit (user_id, number);
CREATE INDEX audit_by_name ON audit (user_name, number);
CREATE INDEX audit_by_doer ON audit (done_by, number);

-- One row, updated in the transaction that uses its numbers: so numbers become visible in their order.
CREATE TABLE audit_counter (
  one {int8} PRIMARY KEY CHECK (one = 1),
  value {int8} NOT NULL             -- the last number given out
) {strict_clustered};
INSERT INTO audit_counter VALUES (1, 0);
