"""A JSON-RPC app-server over stdio that signs users in and talks to a model on their behalf."""

__version__ = "0.1.0"
