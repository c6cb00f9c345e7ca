"""Threads: what is known and kept of a conversation, loaded or not."""
