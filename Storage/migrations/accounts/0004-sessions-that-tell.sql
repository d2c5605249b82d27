ALTER TABLE sessions ADD COLUMN end_reason {text};                       -- one of Models/session_ends.ts; NULL until it has ended
UPDATE sessions SET end_reason = 'lapsed' WHERE state = 'ended';
ALTER TABLE sessions ADD COLUMN interactive {int8} NOT NULL DEFAULT 0;   -- 1: of a person at a prompt, ends when nothing is done in it
-- The last change that was asked for in the session, so that saying it again does nothing.
ALTER TABLE sessions ADD COLUMN change_number {int8} NOT NULL DEFAULT 0; -- rises with each change
ALTER TABLE sessions ADD COLUMN change_transaction {text};               -- of its datagram, 32 hex digits
ALTER TABLE sessions ADD COLUMN change_result {text};

ALTER TABLE devices ADD COLUMN given_name {text};                        -- in place of the name that the device gives itself
ALTER TABLE devices ADD COLUMN last_seen_ms {int8} NOT NULL DEFAULT 0;   -- milliseconds since 1970, but for sessions that are still known
ALTER TABLE devices ADD COLUMN revoked_at_ms {int8} NOT NULL DEFAULT 0;  -- milliseconds since 1970, of the last time; 0: never
UPDATE devices SET last_seen_ms = first_seen_ms;

ALTER TABLE ended_counter ADD COLUMN open_sessions {int8} NOT NULL DEFAULT 0; -- how many have not ended
UPDATE ended_counter SET open_sessions = (SELECT count(*) FROM sessions WHERE state <> 'ended');
DROP INDEX sessions_by_user;
CREATE INDEX sessions_by_user ON sessions (user_id, state, device_id);
