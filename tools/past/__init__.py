"""What `lockstep at` and `tools.history` answer from: snapshots, replay, and what is found in a state."""
