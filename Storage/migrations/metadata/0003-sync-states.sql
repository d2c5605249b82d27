-- How far each copy of a client's sync index has counted, so that an older copy of it is noticed.
CREATE TABLE sync_states (
  user_id {text} NOT NULL,
  state {text} NOT NULL, -- 32 hex digits, made by the client with the index
  counter {int8} NOT NULL, -- the highest it has shown
  shown_at_ms {int8} NOT NULL,
  PRIMARY KEY (user_id, state)
) {strict_clustered};
