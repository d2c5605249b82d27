-- Addresses that are sent what their user's change feed tells.
CREATE TABLE webhooks (
  id {text} PRIMARY KEY, -- 32 hex digits
  user_id {text} NOT NULL,
  user_name {text} NOT NULL,
  url {text} NOT NULL,
  kinds {text}, -- changed and kinds of notices, divided by commas; NULL: everything
  secret {text} NOT NULL, -- signs what is sent, so it is stored as it is
  state {text} NOT NULL, -- active, failed
  cursor {text} NOT NULL, -- up to where all was taken
  created_at_ms {int8} NOT NULL,
  due_at_ms {int8} NOT NULL, -- nothing is sent before; while something is on its way, until when its sender has to say what became of it
  failures {int8} NOT NULL, -- attempts in a row
  failing_since_ms {int8}, -- the first of them
  reason {text} -- of the last
) {strict};
CREATE INDEX webhooks_user ON webhooks (user_id);
