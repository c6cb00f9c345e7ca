"""Where threads are kept: memory, or threads.db."""
