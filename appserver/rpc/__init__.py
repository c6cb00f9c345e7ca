"""JSON-RPC over any transport: ids, ordering, cancellation, and the one place that makes errors of exceptions."""
