ALTER TABLE users ADD COLUMN deleted_at_ms {int8};  -- milliseconds since 1970; NULL: not deleted. Who is deleted is disabled too
