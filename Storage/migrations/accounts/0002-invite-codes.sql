CREATE TABLE invite_codes (
  digest {blob} PRIMARY KEY,        -- SHA-256 of the secret, 32 bytes
  uses_left {int8} NOT NULL CHECK (uses_left >= 0),  -- accounts that can still be made with it
  expires_at_ms {int8} NOT NULL,    -- milliseconds since 1970
  quota_bytes {int8},               -- bytes that whoever registers with it may store; null: as for everybody
  made_by {text} NOT NULL,          -- for people
  made_at_ms {int8} NOT NULL        -- milliseconds since 1970
) {strict_clustered};

-- Who registered with a code.
CREATE TABLE invited (
  user_id {text} PRIMARY KEY REFERENCES users (id),
  digest {blob} NOT NULL,
  quota_bytes {int8}                -- bytes the user may store until an administrator says otherwise; null: as for everybody
) {strict_clustered};
