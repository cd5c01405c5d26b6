"""The tables of `lockstep export`."""
