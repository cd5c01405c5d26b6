"""The nodes, the load, the faults and the checks of `lockstep drill`."""
