"""The client's side of the protocol, in Python: embed the daemon in an application. Public API.

    async with AppServer.spawn(client_info={"name": "my-app", "version": "1"}) as server:
        server.on_request("account/chatgptAuthTokens/refresh", fresh_tokens)
        await server.request("account/login/start", {"type": "chatgptAuthTokens", "accessToken": token})
        thread = (await server.request("thread/start", {}))["thread"]
        print(await server.complete_turn(thread["id"], "Hello"))

Needs an event loop that anyio runs on (asyncio or trio). Raises the errors in `errors`, and TimeoutError.
"""

from __future__ import annotations

from appserver.client.client import AppServer
from appserver.client.errors import ServerError, ServerGone, StreamOverflow, TurnFailed
from appserver.client.streams import Notification, NotificationStream

__all__ = [
    "AppServer",
    "Notification",
    "NotificationStream",
    "ServerError",
    "ServerGone",
    "StreamOverflow",
    "TurnFailed",
]
