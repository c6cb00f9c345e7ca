"""How bytes come in and go out: stdio for a real client, memory for tests and for embedding in one process."""
