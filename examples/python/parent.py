"""A Python parent: starts a server, gives the model a tool, and prints what it says."""

import os
import sys

from appserver.client import AppServer, RestartPolicy, TokenRequest, tool, types


def access_token(request: TokenRequest) -> str:
    """Tokens of the application. Yours come from where it keeps them."""
    return os.environ["ACCESS_TOKEN"]


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: 21 degrees"


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else "Say hello"
    client_info = {"name": "python-example", "version": "1.0"}
    with AppServer(
        client_info=client_info, token_provider=access_token, tools=[weather], restart=RestartPolicy()
    ) as server:
        thread = server.threads.start()
        for note in thread.stream(question):
            match note:
                case types.AgentMessageDeltaNotification(delta=text):
                    sys.stdout.write(text)
                case types.ItemCompletedNotification(item=types.DynamicToolCallItem(tool=name)):
                    sys.stdout.write(f"[{name}]\n")
                case types.TurnCompletedNotification(turn=turn):
                    sys.stdout.write(f" ({turn.status})\n")


if __name__ == "__main__":
    main()
