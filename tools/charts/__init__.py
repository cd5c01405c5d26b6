"""What `lockstep chart` draws, as a page and as an image."""
