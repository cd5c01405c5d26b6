"""What runs: the sequencer that journals before it applies, and recovery from a journal."""
