"""Thin glue: typed params to a service to a typed result. No waiting that a service could do, no state."""
