"""The stages and reports of `lockstep bench`."""
