CREATE INDEX sessions_at_prompt ON sessions (last_seen_ms) WHERE state = 'live' AND interactive = 1;
