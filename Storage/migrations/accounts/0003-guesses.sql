-- Passwords that were tried and not yet shown to be right, by name or by known device. The name may be nobody's.
CREATE TABLE guess_counters (
  counter {text} PRIMARY KEY,       -- 32 hex digits, a keyed hash: what people type as a name is not kept
  in_row {int8} NOT NULL CHECK (in_row >= 0),  -- guesses since the last success
  last_ms {int8} NOT NULL           -- the last of them, milliseconds since 1970
) {strict_clustered};
CREATE INDEX guess_counters_by_weight ON guess_counters (in_row, last_ms);
