"""Credentials: getting, keeping, renewing and forgetting them. Knows neither JSON-RPC nor the model backend."""
