"""What travels on the wire between the app-server and the application that embeds it.

Every type here is a TypedDict whose keys are spelled as on the wire: no aliases, no conversion on the way out, and
defining one costs microseconds at start-up. pydantic validates what comes in (see `appserver/rpc/router.py`) and
generates the schema; it is not imported until then. No I/O, no clock, no logging.
"""
