"""Credentials: getting, keeping, refreshing and forgetting them. Knows neither JSON-RPC nor the model backend."""
