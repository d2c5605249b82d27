-- What each sync index last said of the folder it keeps: up to where in the journals everything is on its device's disk, and what is not there all the same.
CREATE TABLE sync_reports (
  user_id {text} NOT NULL,
  state {text} NOT NULL, -- as in sync_states
  device {text} NOT NULL,
  mark {text} NOT NULL, -- 32 hex digits: names what was said
  root {int8} NOT NULL, -- node of the remote folder
  cursor {text} NOT NULL,
  missing {text}, -- JSON: node ids; null: nothing is said to be there
  waiting {int8} NOT NULL, -- entries that differ
  problems {int8} NOT NULL,
  held {int8} NOT NULL, -- 0 or 1
  at_ms {int8} NOT NULL,
  PRIMARY KEY (user_id, state)
) {strict};
