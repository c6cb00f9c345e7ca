"""The model backend, credentials taken care of: joins `auth` and `llm`, which do not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appserver.errors import NotSignedIn
from appserver.llm.authorized import Access, authorized
from appserver.log import HiddenSecrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.auth.credentials import Held
    from appserver.llm.client import EventStream, ModelClient, Request
    from appserver.settings import Provider, TokenCommand
    from appserver.tasks import Tasks


class Credentials(Protocol):
    """Who keeps a credential: the manager of the user's login, or a command of the provider's."""

    async def for_request(self) -> Held | None:
        """Return what to send, None if there is nothing. Raises AuthError."""

    async def refresh(self, generation: int) -> Held:
        """Return another credential than that of a generation, which was refused. Raises AuthError."""


class Authority:
    """Credentials as the model client sees them (`llm.authorized.Authority`)."""

    def __init__(self, auth: Credentials) -> None:
        self._auth = auth
        self._hidden = HiddenSecrets()

    async def access(self) -> Access:
        """Return what to send. Raises AuthError, NotSignedIn if there is nothing."""
        held = await self._auth.for_request()
        if held is None:
            raise NotSignedIn("Not signed in: use account/login/start first")
        return self._access(held)

    async def refreshed(self, refused: Access) -> Access:
        """Return what to send in place of what was refused. Raises AuthError."""
        return self._access(await self._auth.refresh(refused.generation))

    def _access(self, held: Held) -> Access:
        credential = held.credential
        self._hidden.hide(credential.bearer)
        is_chatgpt = credential.identity.is_chatgpt
        return Access(credential.bearer, credential.account_id, is_chatgpt=is_chatgpt, generation=held.generation)


class Backend:
    """The model client as a turn sees it (`turns.runner.Backend`)."""

    def __init__(
        self,
        authority: Authority,
        model: Callable[[], ModelClient],
        tasks: Tasks,
        check: Callable[[Provider], None] = lambda _: None,
    ) -> None:
        """`model`: makes the client, or returns it; its import takes longer than the start of a turn should.

        `check`: raises AuthError where the user's login must not be sent to a provider.
        """
        self._check = check
        self._authority = authority
        self._model = model
        self._tasks = tasks
        self._commands: dict[TokenCommand, Authority] = {}
        self._hidden = HiddenSecrets()

    async def open(self, request: Request) -> EventStream:
        """Send a request and return its running answer.

        Raises BackendError or AuthError, ConfigError if the provider's settings cannot be used.
        """
        from appserver.llm.headers import own_key, secret_headers  # late: brings httpx

        model, provider = self._model(), request.provider
        key = own_key(provider)
        self._hidden.hide(key, *secret_headers(provider))
        if key is not None:
            return await model.open(request, Access(key, None, is_chatgpt=False, generation=0))
        if provider.token_command is not None:
            return await authorized(self._command(provider.token_command), lambda access: model.open(request, access))
        if not provider.requires_openai_auth:
            return await model.open(request, None)
        self._check(provider)
        return await authorized(self._authority, lambda access: model.open(request, access))

    def _command(self, command: TokenCommand) -> Authority:
        """Return what a command prints, for all threads together: they share its token."""
        if command not in self._commands:
            from appserver.auth.refresh.command_tokens import CommandTokens  # late: few providers have one

            self._commands[command] = Authority(CommandTokens(command, self._tasks))
        return self._commands[command]
