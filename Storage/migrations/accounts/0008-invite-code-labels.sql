ALTER TABLE invite_codes ADD COLUMN label {text};  -- whom it is for, as an administrator says; NULL: nothing was said
