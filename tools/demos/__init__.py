"""The acts of `lockstep demo`."""
