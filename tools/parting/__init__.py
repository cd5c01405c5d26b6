"""Where two histories part: rows, digests, states."""
