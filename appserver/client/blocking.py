"""The blocking face of the client.

Generated from the asynchronous one by `python -m codegen`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from typing_extensions import TypeVar as TypeVarWithDefault

from appserver.client.account import LOGIN_SECONDS, AsyncAccount, AsyncBrowserLogin, AsyncDeviceCodeLogin
from appserver.client.app_server import AsyncAppServer
from appserver.client.connection import REQUEST_SECONDS
from appserver.client.methods import AsyncConfig, AsyncModels
from appserver.client.portal import Blocking, BlockingServer, Notifications, Portal
from appserver.client.threads import AsyncThread, AsyncThreads
from appserver.client.turns import TURN_SECONDS, AsyncTurn
from appserver.client.wire import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from appserver.client import types
    from appserver.client.attachment import Attachment
    from appserver.client.inputs import Input
    from appserver.client.options import (
        AccountReadOptions,
        ConfigReadOptions,
        GetAuthStatusOptions,
        LogoutOptions,
        ModelListOptions,
        RateLimitsReadOptions,
        SteerOptions,
        ThreadForkOptions,
        ThreadItemsListOptions,
        ThreadListOptions,
        ThreadLoadedListOptions,
        ThreadMetadataUpdateOptions,
        ThreadReadOptions,
        ThreadResumeOptions,
        ThreadSettingsUpdateOptions,
        ThreadStartOptions,
        ThreadTurnsListOptions,
        TurnOptions,
        UsageReadOptions,
    )
    from appserver.client.restart import RestartPolicy
    from appserver.client.results import TurnResult
    from appserver.client.tokens import TokenProvider, Tokens
    from appserver.client.tools import Tool
    from protocol.base import Secret

T = TypeVar("T")
D = TypeVarWithDefault("D", default=None)
N = TypeVar("N", bound=Notification)


class Models(Blocking[AsyncModels]):
    """Methods of the protocol, as `server.models`."""

    def list(self, **options: Unpack[ModelListOptions]) -> types.ModelListResult:
        """Models for a picker, page by page.

        Page through the models: limit at a time, on from cursor.

        Sends `model/list`.
        """
        return self._portal.wait(self._async.list, **options)


class Config(Blocking[AsyncConfig]):
    """Methods of the protocol, as `server.config`."""

    def read(self, **options: Unpack[ConfigReadOptions]) -> types.ConfigReadResult:
        """The configuration in force and where each value comes from, without secrets.

        What to tell of the configuration. cwd changes nothing: no configuration of projects is read.

        Sends `config/read`.
        """
        return self._portal.wait(self._async.read, **options)


class BrowserLogin(Blocking[AsyncBrowserLogin]):
    """A login in a browser: open `auth_url`."""

    @property
    def login_id(self) -> str:
        return self._async.login_id

    @property
    def auth_url(self) -> str:
        return self._async.auth_url

    def wait(self, *, timeout: float = LOGIN_SECONDS) -> types.LoginCompletedNotification:
        """Wait for the end of the login; `success` and `error` say how it ended. Raises ServerGone, TimeoutError."""
        return self._portal.wait(self._async.wait, timeout=timeout)

    def cancel(self) -> types.LoginCancelResult:
        """Give the login up. `wait` returns then, too."""
        return self._portal.wait(self._async.cancel)


class DeviceCodeLogin(Blocking[AsyncDeviceCodeLogin]):
    """A login with a code: show `user_code` and `verification_url`."""

    @property
    def login_id(self) -> str:
        return self._async.login_id

    @property
    def user_code(self) -> str:
        return self._async.user_code

    @property
    def verification_url(self) -> str:
        return self._async.verification_url

    def wait(self, *, timeout: float = LOGIN_SECONDS) -> types.LoginCompletedNotification:
        """Wait for the end of the login; `success` and `error` say how it ended. Raises ServerGone, TimeoutError."""
        return self._portal.wait(self._async.wait, timeout=timeout)

    def cancel(self) -> types.LoginCancelResult:
        """Give the login up. `wait` returns then, too."""
        return self._portal.wait(self._async.cancel)


class Account(Blocking[AsyncAccount]):
    """Who is signed in; signing in and out. `server.account`."""

    def read(self, **options: Unpack[AccountReadOptions]) -> types.AccountReadResult:
        """Who is signed in; `refresh_token: true` refreshes a managed login first.

        refresh_token: get new tokens first, where the login is one that the server manages.

        Sends `account/read`.
        """
        return self._portal.wait(self._async.read, **options)

    def cancel_login(self, login_id: str) -> types.LoginCancelResult:
        """Gives up a login that is under way.

        Sends `account/login/cancel`.
        """
        return self._portal.wait(self._async.cancel_login, login_id)

    def logout(self, **options: Unpack[LogoutOptions]) -> None:
        """Signs out, and has the tokens revoked.

        scope "local" (ours) ends the login here without revoking it at the issuer, where other machines may use it.

        Sends `account/logout`.
        """
        self._portal.wait(self._async.logout, **options)

    def read_rate_limits(self, **options: Unpack[RateLimitsReadOptions]) -> types.RateLimitsReadResult:
        """Asks the backend how much of the limits is used.

        exclude_reset_credit_details: tell only how many reset credits there are.

        Sends `account/rateLimits/read`.
        """
        return self._portal.wait(self._async.read_rate_limits, **options)

    def read_usage(self, **options: Unpack[UsageReadOptions]) -> types.UsageReadResult:
        """Asks the backend how many tokens the account has used, or what one thread has.

        thread_id: what this thread has used, in place of the account's totals.

        Sends `account/usage/read`.
        """
        return self._portal.wait(self._async.read_usage, **options)

    def get_auth_status(self, **options: Unpack[GetAuthStatusOptions]) -> types.GetAuthStatusResult:
        """The older way to ask who is signed in.

        Sends `getAuthStatus`.
        """
        return self._portal.wait(self._async.get_auth_status, **options)

    def login_api_key(self, api_key: str | Secret) -> None:
        """Sign in with an API key, which the server stores."""
        self._portal.wait(self._async.login_api_key, api_key)

    def login_tokens(
        self,
        access_token: str | Secret | Tokens,
        *,
        id_token: str | Secret | None = None,
        account_id: str | None = None,
        plan_type: str | None = None,
    ) -> None:
        """Sign in with tokens that the application owns: the server keeps them in memory and asks for new ones.

        With `token_provider=` the client does this by itself.
        """
        self._portal.wait(
            self._async.login_tokens, access_token, id_token=id_token, account_id=account_id, plan_type=plan_type
        )

    def login_chatgpt(self) -> BrowserLogin:
        """Begin a login in a browser on this machine; open its `auth_url`."""
        return BrowserLogin(self._portal, self._portal.wait(self._async.login_chatgpt))

    def login_device_code(self) -> DeviceCodeLogin:
        """Begin a login with a code that the user types on any device; show its `user_code` and `verification_url`."""
        return DeviceCodeLogin(self._portal, self._portal.wait(self._async.login_device_code))


class Turn(Blocking[AsyncTurn[D]], Generic[D]):
    """A turn that has been started."""

    @property
    def id(self) -> str:
        return self._async.id

    @property
    def thread_id(self) -> str:
        return self._async.thread_id

    def stream(self) -> Iterator[Notification]:
        """Yield what the server tells of the turn; the last is TurnCompletedNotification, however it ends.

        Leaving the loop early leaves the turn running: `interrupt` ends it. Raises TurnLost if the server is lost.
        """
        return self._portal.iterate(self._async.stream())

    def run(self, *, timeout: float | None = TURN_SECONDS) -> TurnResult[D]:
        """Wait for the end of the turn and return its result. `timeout`: in seconds; None: as long as it takes.

        What `stream` has yielded already is part of it.

        Raises TurnFailed, TurnInterrupted, TurnLost, OutputInvalid, TimeoutError. After a timeout the turn still runs.
        """
        return self._portal.wait(self._async.run, timeout=timeout)

    def steer(self, input: Input, **options: Unpack[SteerOptions]) -> None:
        """Add input to the turn. Raises ServerError if it does not run any more."""
        self._portal.wait(self._async.steer, input, **options)

    def interrupt(self) -> None:
        """End the turn. Raises ServerError if it does not run any more."""
        self._portal.wait(self._async.interrupt)


class Thread(Blocking[AsyncThread]):
    """A conversation that turns can be run in. Any number of threads may use it; one turn runs at a time."""

    @property
    def id(self) -> str:
        return self._async.id

    @property
    def started(self) -> types.ThreadStartResult | types.ThreadResumeResult:
        return self._async.started

    def read(self, **options: Unpack[ThreadReadOptions]) -> types.ThreadReadResult:
        """A thread, loaded or not; `include_turns: true` with its transcript.

        Which thread to read, loaded or not. include_turns: with its whole transcript.

        Sends `thread/read`.
        """
        return self._portal.wait(self._async.read, **options)

    def list_turns(self, **options: Unpack[ThreadTurnsListOptions]) -> types.TurnsPage:
        """Turns of a thread, page by page.

        Which turns of a thread: the last ones first, in summary, if nothing else is said.

        Sends `thread/turns/list`.
        """
        return self._portal.wait(self._async.list_turns, **options)

    def list_items(self, **options: Unpack[ThreadItemsListOptions]) -> types.ThreadItemsListResult:
        """Items of a thread or of one turn, page by page.

        Which items of a thread, or of one of its turns: the first ones first if nothing else is said.

        Sends `thread/items/list`.
        """
        return self._portal.wait(self._async.list_items, **options)

    def set_name(self, name: str) -> None:
        """Gives a thread a name, or takes it away.

        The new name; an empty one takes it away.

        Sends `thread/name/set`.
        """
        self._portal.wait(self._async.set_name, name)

    def update_metadata(self, **options: Unpack[ThreadMetadataUpdateOptions]) -> types.ThreadResult:
        """Notes the commit, branch and origin of a thread's repository.

        What to note about the thread's repository.

        Sends `thread/metadata/update`.
        """
        return self._portal.wait(self._async.update_metadata, **options)

    def archive(self) -> None:
        """Puts a thread away: out of lists, out of memory.

        Sends `thread/archive`.
        """
        self._portal.wait(self._async.archive)

    def unarchive(self) -> types.ThreadResult:
        """Brings it back into lists.

        Sends `thread/unarchive`.
        """
        return self._portal.wait(self._async.unarchive)

    def delete(self) -> None:
        """Forgets a thread for good.

        Sends `thread/delete`.
        """
        self._portal.wait(self._async.delete)

    def unsubscribe(self) -> types.ThreadUnsubscribeResult:
        """Ends the notifications of a thread's turns; half an hour later the thread is closed.

        Sends `thread/unsubscribe`.
        """
        return self._portal.wait(self._async.unsubscribe)

    def inject_items(self, items: Sequence[Any]) -> None:
        """Adds raw input items of the Responses API to what the model is sent.

        Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them.

        Sends `thread/inject_items`.
        """
        self._portal.wait(self._async.inject_items, items)

    def revert(self, before_turn_id: str) -> types.ThreadRevertResult:
        """Forgets a turn and all that came after it.

        Forget a turn of a thread and all that came after it.

        Sends `thread/revert`.
        """
        return self._portal.wait(self._async.revert, before_turn_id)

    def rollback(self, num_turns: int) -> types.ThreadResult:
        """Forgets the last turns: the older way.

        Forget so many turns at the end of a thread: the older way to revert.

        Sends `thread/rollback`.
        """
        return self._portal.wait(self._async.rollback, num_turns)

    def update_settings(self, **options: Unpack[ThreadSettingsUpdateOptions]) -> None:
        """Model, effort, summary, service tier, directory, collaboration mode, from the next turn on.

        Sends `thread/settings/update`.
        """
        self._portal.wait(self._async.update_settings, **options)

    def compact(self) -> None:
        """Runs a turn that lets a summary take the place of the history.

        Sends `thread/compact/start`.
        """
        self._portal.wait(self._async.compact)

    @overload
    def run(
        self,
        input: Input,
        *,
        output_type: type[T],
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult[T]: ...

    @overload
    def run(
        self,
        input: Input,
        *,
        output_schema: Mapping[str, object] | None = None,
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult: ...

    def run(
        self,
        input: Input,
        *,
        output_type: type[Any] | None = None,
        output_schema: Mapping[str, object] | None = None,
        timeout: float | None = TURN_SECONDS,
        **options: Unpack[TurnOptions],
    ) -> TurnResult[Any]:
        """Run a turn and return its result; see `Turn.run`. `output_type`: what the model's output is read as."""
        answer: TurnResult[Any] = self._portal.wait(
            cast(Any, self._async.run),
            input,
            output_type=output_type,
            output_schema=output_schema,
            timeout=timeout,
            **options,
        )
        return answer

    def stream(
        self, input: Input, *, output_schema: Mapping[str, object] | None = None, **options: Unpack[TurnOptions]
    ) -> Iterator[Notification]:
        """Run a turn and yield what the server tells of it; see `Turn.stream`."""
        return self._portal.iterate(self._async.stream(input, output_schema=output_schema, **options))

    @overload
    def turn(self, input: Input, *, output_type: type[T], **options: Unpack[TurnOptions]) -> Turn[T]: ...

    @overload
    def turn(
        self, input: Input, *, output_schema: Mapping[str, object] | None = None, **options: Unpack[TurnOptions]
    ) -> Turn: ...

    def turn(
        self,
        input: Input,
        *,
        output_type: type[Any] | None = None,
        output_schema: Mapping[str, object] | None = None,
        **options: Unpack[TurnOptions],
    ) -> Turn[Any]:
        """Start a turn, or add input to the one that runs, and return it: to stream, steer, interrupt it."""
        return Turn(
            self._portal,
            self._portal.wait(
                cast(Any, self._async.turn), input, output_type=output_type, output_schema=output_schema, **options
            ),
        )


class Threads(Blocking[AsyncThreads]):
    """Starting, resuming and forking threads, and all else by their id. `server.threads`."""

    def read(self, thread_id: str, **options: Unpack[ThreadReadOptions]) -> types.ThreadReadResult:
        """A thread, loaded or not; `include_turns: true` with its transcript.

        Which thread to read, loaded or not. include_turns: with its whole transcript.

        Sends `thread/read`.
        """
        return self._portal.wait(self._async.read, thread_id, **options)

    def list(self, **options: Unpack[ThreadListOptions]) -> types.ThreadListResult:
        """Threads, page by page: newest first, filtered by `cwd`, `model_providers`, `source_kinds`, `search_term`,
        `archived`, ...

        Which threads to list: newest first by creation if nothing else is said. Archived ones only if asked for.

        search_term: part of the name or preview, in upper or lower case. recency_at is the same as updated_at.
        Threads here have neither parent, project nor section: a filter by one of them finds nothing, project_id and
        section_id null find all. excluded_thread_ids: 100 at most. use_state_db_only makes no difference.

        Sends `thread/list`.
        """
        return self._portal.wait(self._async.list, **options)

    def list_loaded(self, **options: Unpack[ThreadLoadedListOptions]) -> types.ThreadLoadedListResult:
        """Ids of the threads in memory.

        Which page; all of it if no limit is given.

        Sends `thread/loaded/list`.
        """
        return self._portal.wait(self._async.list_loaded, **options)

    def list_turns(self, thread_id: str, **options: Unpack[ThreadTurnsListOptions]) -> types.TurnsPage:
        """Turns of a thread, page by page.

        Which turns of a thread: the last ones first, in summary, if nothing else is said.

        Sends `thread/turns/list`.
        """
        return self._portal.wait(self._async.list_turns, thread_id, **options)

    def list_items(self, thread_id: str, **options: Unpack[ThreadItemsListOptions]) -> types.ThreadItemsListResult:
        """Items of a thread or of one turn, page by page.

        Which items of a thread, or of one of its turns: the first ones first if nothing else is said.

        Sends `thread/items/list`.
        """
        return self._portal.wait(self._async.list_items, thread_id, **options)

    def set_name(self, thread_id: str, name: str) -> None:
        """Gives a thread a name, or takes it away.

        The new name; an empty one takes it away.

        Sends `thread/name/set`.
        """
        self._portal.wait(self._async.set_name, thread_id, name)

    def update_metadata(self, thread_id: str, **options: Unpack[ThreadMetadataUpdateOptions]) -> types.ThreadResult:
        """Notes the commit, branch and origin of a thread's repository.

        What to note about the thread's repository.

        Sends `thread/metadata/update`.
        """
        return self._portal.wait(self._async.update_metadata, thread_id, **options)

    def archive(self, thread_id: str) -> None:
        """Puts a thread away: out of lists, out of memory.

        Sends `thread/archive`.
        """
        self._portal.wait(self._async.archive, thread_id)

    def unarchive(self, thread_id: str) -> types.ThreadResult:
        """Brings it back into lists.

        Sends `thread/unarchive`.
        """
        return self._portal.wait(self._async.unarchive, thread_id)

    def delete(self, thread_id: str) -> None:
        """Forgets a thread for good.

        Sends `thread/delete`.
        """
        self._portal.wait(self._async.delete, thread_id)

    def unsubscribe(self, thread_id: str) -> types.ThreadUnsubscribeResult:
        """Ends the notifications of a thread's turns; half an hour later the thread is closed.

        Sends `thread/unsubscribe`.
        """
        return self._portal.wait(self._async.unsubscribe, thread_id)

    def inject_items(self, thread_id: str, items: Sequence[Any]) -> None:
        """Adds raw input items of the Responses API to what the model is sent.

        Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them.

        Sends `thread/inject_items`.
        """
        self._portal.wait(self._async.inject_items, thread_id, items)

    def revert(self, thread_id: str, before_turn_id: str) -> types.ThreadRevertResult:
        """Forgets a turn and all that came after it.

        Forget a turn of a thread and all that came after it.

        Sends `thread/revert`.
        """
        return self._portal.wait(self._async.revert, thread_id, before_turn_id)

    def rollback(self, thread_id: str, num_turns: int) -> types.ThreadResult:
        """Forgets the last turns: the older way.

        Forget so many turns at the end of a thread: the older way to revert.

        Sends `thread/rollback`.
        """
        return self._portal.wait(self._async.rollback, thread_id, num_turns)

    def update_settings(self, thread_id: str, **options: Unpack[ThreadSettingsUpdateOptions]) -> None:
        """Model, effort, summary, service tier, directory, collaboration mode, from the next turn on.

        Sends `thread/settings/update`.
        """
        self._portal.wait(self._async.update_settings, thread_id, **options)

    def compact(self, thread_id: str) -> None:
        """Runs a turn that lets a summary take the place of the history.

        Sends `thread/compact/start`.
        """
        self._portal.wait(self._async.compact, thread_id)

    def start(
        self, *, tools: Sequence[Tool[..., Any] | Mapping[str, Any]] = (), **options: Unpack[ThreadStartOptions]
    ) -> Thread:
        """Start a conversation. `tools`: what the model may call in it, beside the client's own."""
        return Thread(self._portal, self._portal.wait(self._async.start, tools=tools, **options))

    def resume(
        self, thread_id: str, *, tools: Sequence[Tool[..., Any]] = (), **options: Unpack[ThreadResumeOptions]
    ) -> Thread:
        """Load a thread, so that turns can be run in it. `tools`: the functions behind those that it has."""
        return Thread(self._portal, self._portal.wait(self._async.resume, thread_id, tools=tools, **options))

    def fork(
        self, thread_id: str, *, tools: Sequence[Tool[..., Any]] = (), **options: Unpack[ThreadForkOptions]
    ) -> Thread:
        """Make a new thread of a thread's turns. `tools`: the functions behind those of the thread."""
        return Thread(self._portal, self._portal.wait(self._async.fork, thread_id, tools=tools, **options))


class AppServer(BlockingServer):
    """A running app-server: `with AppServer() as server`. Any number of threads may use it at once.

    Raises in the first line of the block: ServerGone if the server cannot be started or reached, ServerError if it
    refuses, TimeoutError if it does not answer, and what the token provider raises."""

    def __init__(
        self,
        attachment: Attachment | str | None = None,
        *,
        client_info: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        token_provider: TokenProvider | None = None,
        tools: Sequence[Tool[..., Any]] = (),
        restart: RestartPolicy | None = None,
    ) -> None:
        """`attachment`: how the server is reached: by a URL such as unix://, or a `Subprocess` of its own if left out.

        `client_info`: name and version of your application. `capabilities`: of the handshake, as they are.
        `token_provider`: signs in with the application's tokens, and is asked for new ones. `tools`: what the model may
        call in every thread that is started here. `restart`: how often a server that dies is started again; never if
        left out.
        """
        server = AsyncAppServer(
            attachment,
            client_info=client_info,
            capabilities=capabilities,
            token_provider=token_provider,
            tools=tools,
            restart=restart,
        )
        portal = Portal()
        super().__init__(portal, server)
        self.account = Account(portal, server.account)
        self.threads = Threads(portal, server.threads)
        self.models = Models(portal, server.models)
        self.config = Config(portal, server.config)

    @property
    def info(self) -> types.InitializeResult:
        return self._async.info

    @property
    def process_id(self) -> int | None:
        return self._async.process_id

    def diagnostics(self) -> types.ServerDiagnosticsResult:
        """Figures about the process: uptime, connections, turns, memory, refreshes; see docs/observability.md.

        Sends `server/diagnostics`.
        """
        return self._portal.wait(self._async.diagnostics)

    def request(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> Any:  # noqa: ANN401 - JSON
        """Send a request and return its result as JSON; `timeout` in seconds.

        Raises ServerError, ServerGone, RequestLost, TimeoutError. While a server that was lost is started again, it
        waits; one that was under way is sent again if it only reads. One that is refused for load is sent again later.
        """
        return self._portal.wait(self._async.request, method, params, timeout=timeout)

    def notify(self, method: str, params: object = None, *, timeout: float = REQUEST_SECONDS) -> None:
        """Send a notification; `timeout` in seconds. Raises ServerGone, or TimeoutError if the server does not read."""
        self._portal.wait(self._async.notify, method, params, timeout=timeout)

    def on_request(self, method: str, handler: Callable[[dict[str, Any]], object]) -> None:
        """Answer the server's requests of this method: `handler` gets the params and returns the result.

        It may be a coroutine function; one that is not runs in a thread. Each request runs in a task of its own. An
        exception becomes an error reply that carries its text; a method without a handler is answered with -32601.
        """
        self._async.on_request(method, handler)

    @overload
    def notifications(self, *, thread_id: str | None = None) -> Notifications: ...

    @overload
    def notifications(self, *kinds: type[N], thread_id: str | None = None) -> Notifications[N]: ...

    def notifications(self, *kinds: type[Any], thread_id: str | None = None) -> Notifications[Any]:
        """Listen: `with server.notifications(TurnCompletedNotification) as stream: for note in stream`.

        Without classes: to all. With `thread_id`: to those of one thread. A stream has what comes after it was
        entered, in order and complete; see `streams` for one that is not read.
        """
        return Notifications(self._portal, self._async.notifications(*kinds, thread_id=thread_id))
