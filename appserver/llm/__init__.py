"""Talking to the model backend. Knows neither who signed in, nor threads, nor the client."""
