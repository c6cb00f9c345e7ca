"""A minimal HTTP/1.1 server on loopback, on h11 and anyio: the login callback and the fake backend use it. Public API.

It does not know what it serves. Query strings and bodies hold authorization codes and tokens: nothing here logs them,
echoes them, or shows them in a repr.
"""

from appserver.loopback.limits import CALLBACK, Limits
from appserver.loopback.messages import Disconnect, Handler, Request, Response
from appserver.loopback.server import HOST, bind, serve

__all__ = ["CALLBACK", "HOST", "Disconnect", "Handler", "Limits", "Request", "Response", "bind", "serve"]
