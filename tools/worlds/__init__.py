"""Two worlds of one session, compared: other engines, other commands, other rules."""
