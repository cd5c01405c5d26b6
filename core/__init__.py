"""The deterministic exchange core: rows, book, ledger and engine; no clock, file, socket, thread or randomness."""
