"""Why: the causes in the life of an order, a match, an account, a command; `lockstep explain` prints them."""
