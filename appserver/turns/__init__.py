"""The life of threads and turns. Knows the model backend and the client only as Protocols and callables."""
