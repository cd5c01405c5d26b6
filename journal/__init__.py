"""Durable order: sealed batches in a hash chain, in LMDB or in memory; snapshots, event store, verification."""
