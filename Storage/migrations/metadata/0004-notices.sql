-- What a row of the journal tells a user that is no change of a node: an invitation, a new device, deletes that are held. It is in the
-- user's home, is about no node (0) and has its facts here, as a JSON object of scalars.
ALTER TABLE journal ADD COLUMN details {text};

-- Devices that a user has asked something with.
CREATE TABLE known_devices (
  user_id {text} NOT NULL,
  device {text} NOT NULL,
  first_seen_ms {int8} NOT NULL,
  PRIMARY KEY (user_id, device)
) {strict_clustered};
