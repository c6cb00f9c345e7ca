"""The client's side of the protocol, in Python: embed the server in an application. Public API.

    with AppServer() as server:                        # or: async with AsyncAppServer() as server
        server.account.login_api_key(key)
        thread = server.threads.start(model="gpt-6-sol")
        print(thread.run("Hello").final_response)

`types` has the classes of what travels. All errors derive from AppServerError, but for TimeoutError. The asynchronous
face needs an event loop that anyio runs on (asyncio or trio); the blocking one runs its own in a thread. docs/client.md
tells more.
"""

from __future__ import annotations

from appserver.client.account import AsyncBrowserLogin, AsyncDeviceCodeLogin
from appserver.client.app_server import AsyncAppServer
from appserver.client.blocking import AppServer, BrowserLogin, DeviceCodeLogin, Thread, Turn
from appserver.client.errors import (
    RequestLost,
    ServerError,
    ServerGone,
    StreamOverflow,
    ThreadLost,
    TurnLost,
)
from appserver.client.in_process import InProcess
from appserver.client.inputs import Input, image
from appserver.client.portal import Notifications
from appserver.client.process import Subprocess
from appserver.client.restart import RestartPolicy, ServerRestarted
from appserver.client.results import OutputInvalid, TurnFailed, TurnInterrupted, TurnResult
from appserver.client.sockets import UnixSocket
from appserver.client.streams import NotificationStream
from appserver.client.threads import AsyncThread
from appserver.client.tokens import TokenProvider, TokenRequest, Tokens
from appserver.client.tools import Tool, ToolCall, tool
from appserver.client.turns import AsyncTurn
from appserver.client.websocket import WebSocket
from appserver.client.wire import Notification
from appserver.errors import AppServerError

__all__ = [
    "AppServer",
    "AppServerError",
    "AsyncAppServer",
    "AsyncBrowserLogin",
    "AsyncDeviceCodeLogin",
    "AsyncThread",
    "AsyncTurn",
    "BrowserLogin",
    "DeviceCodeLogin",
    "InProcess",
    "Input",
    "Notification",
    "NotificationStream",
    "Notifications",
    "OutputInvalid",
    "RequestLost",
    "RestartPolicy",
    "ServerError",
    "ServerGone",
    "ServerRestarted",
    "StreamOverflow",
    "Subprocess",
    "Thread",
    "ThreadLost",
    "TokenProvider",
    "TokenRequest",
    "Tokens",
    "Tool",
    "ToolCall",
    "Turn",
    "TurnFailed",
    "TurnInterrupted",
    "TurnLost",
    "TurnResult",
    "UnixSocket",
    "WebSocket",
    "image",
    "tool",
]
