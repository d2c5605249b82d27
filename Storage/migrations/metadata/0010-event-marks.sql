-- Up to where a device has processed what happened.
CREATE TABLE event_marks (
  user_id {text} NOT NULL,
  device {text} NOT NULL,
  cursor {text} NOT NULL,
  marked_at_ms {int8} NOT NULL,
  PRIMARY KEY (user_id, device)
) {strict_clustered};
