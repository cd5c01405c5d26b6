"""What `lockstep import` reads, and how a source becomes a journal."""
