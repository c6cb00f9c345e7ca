"""The durable store of threads: threads.db."""
