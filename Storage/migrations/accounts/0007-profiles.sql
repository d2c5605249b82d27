-- What users say of themselves; empty for nothing.
CREATE TABLE profiles (
  user_id {text} PRIMARY KEY REFERENCES users (id),
  display_name {text} NOT NULL,
  email {text} NOT NULL
) {strict_clustered};
