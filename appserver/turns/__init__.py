"""The life of threads and turns. Knows the model backend and the parent only as Protocols and callables."""
