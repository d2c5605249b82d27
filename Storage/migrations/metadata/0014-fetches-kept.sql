-- The newest of one reader, and all that are too old.
CREATE INDEX fetches_reader ON fetches (owner_id, user_id, at_ms, id);
CREATE INDEX fetches_age ON fetches (at_ms);
