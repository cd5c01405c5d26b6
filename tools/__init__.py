"""The `lockstep` command: what an operator, auditor or researcher types, one file per command."""
