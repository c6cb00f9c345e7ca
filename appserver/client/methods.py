"""The requests of the method table, by resource.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.client import types
from appserver.client.caller import Caller
from appserver.client.options import (
    AccountReadOptions,
    ConfigReadOptions,
    GetAuthStatusOptions,
    LogoutOptions,
    ModelListOptions,
    RateLimitsReadOptions,
    ThreadItemsListOptions,
    ThreadListOptions,
    ThreadLoadedListOptions,
    ThreadMetadataUpdateOptions,
    ThreadReadOptions,
    ThreadSettingsUpdateOptions,
    ThreadTurnsListOptions,
    UsageReadOptions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Unpack


class AsyncAccountMethods(Caller):
    """Methods of the protocol, as `server.account`."""

    async def read(self, **options: Unpack[AccountReadOptions]) -> types.AccountReadResult:
        """Who is signed in; `refresh_token: true` refreshes a managed login first.

        refresh_token: get new tokens first, where the login is one that the server manages.

        Sends `account/read`.
        """
        return await self._call("account/read", {**self._named(AccountReadOptions, options)}, types.AccountReadResult)

    async def cancel_login(self, login_id: str) -> types.LoginCancelResult:
        """Gives up a login that is under way.

        Sends `account/login/cancel`.
        """
        return await self._call("account/login/cancel", {"loginId": login_id}, types.LoginCancelResult)

    async def logout(self, **options: Unpack[LogoutOptions]) -> None:
        """Signs out, and has the tokens revoked.

        scope "local" (ours) ends the login here without revoking it at the issuer, where other machines may use it.

        Sends `account/logout`.
        """
        await self._call("account/logout", {**self._named(LogoutOptions, options)}, None)

    async def read_rate_limits(self, **options: Unpack[RateLimitsReadOptions]) -> types.RateLimitsReadResult:
        """Asks the backend how much of the limits is used.

        exclude_reset_credit_details: tell only how many reset credits there are.

        Sends `account/rateLimits/read`.
        """
        return await self._call(
            "account/rateLimits/read", {**self._named(RateLimitsReadOptions, options)}, types.RateLimitsReadResult
        )

    async def read_usage(self, **options: Unpack[UsageReadOptions]) -> types.UsageReadResult:
        """Asks the backend how many tokens the account has used, or what one thread has.

        thread_id: what this thread has used, in place of the account's totals.

        Sends `account/usage/read`.
        """
        return await self._call("account/usage/read", {**self._named(UsageReadOptions, options)}, types.UsageReadResult)

    async def get_auth_status(self, **options: Unpack[GetAuthStatusOptions]) -> types.GetAuthStatusResult:
        """The older way to ask who is signed in.

        Sends `getAuthStatus`.
        """
        return await self._call(
            "getAuthStatus", {**self._named(GetAuthStatusOptions, options)}, types.GetAuthStatusResult
        )


class AsyncModels(Caller):
    """Methods of the protocol, as `server.models`."""

    async def list(self, **options: Unpack[ModelListOptions]) -> types.ModelListResult:
        """Models for a picker, page by page.

        Page through the models: limit at a time, on from cursor.

        Sends `model/list`.
        """
        return await self._call("model/list", {**self._named(ModelListOptions, options)}, types.ModelListResult)


class AsyncConfig(Caller):
    """Methods of the protocol, as `server.config`."""

    async def read(self, **options: Unpack[ConfigReadOptions]) -> types.ConfigReadResult:
        """The configuration in force and where each value comes from, without secrets.

        What to tell of the configuration. cwd changes nothing: no configuration of projects is read.

        Sends `config/read`.
        """
        return await self._call("config/read", {**self._named(ConfigReadOptions, options)}, types.ConfigReadResult)


class AsyncServerMethods(Caller):
    """Methods of the protocol, as `server`."""

    async def diagnostics(self) -> types.ServerDiagnosticsResult:
        """Figures about the process: uptime, connections, turns, memory, refreshes; see docs/observability.md.

        Sends `server/diagnostics`.
        """
        return await self._call("server/diagnostics", {}, types.ServerDiagnosticsResult)


class AsyncThreadsMethods(Caller):
    """Methods of the protocol, as `server.threads`."""

    async def read(self, thread_id: str, **options: Unpack[ThreadReadOptions]) -> types.ThreadReadResult:
        """A thread, loaded or not; `include_turns: true` with its transcript.

        Which thread to read, loaded or not. include_turns: with its whole transcript.

        Sends `thread/read`.
        """
        return await self._call(
            "thread/read", {"threadId": thread_id, **self._named(ThreadReadOptions, options)}, types.ThreadReadResult
        )

    async def list(self, **options: Unpack[ThreadListOptions]) -> types.ThreadListResult:
        """Threads, page by page: newest first, filtered by `cwd`, `model_providers`, `source_kinds`, `search_term`,
        `archived`, ...

        Which threads to list: newest first by creation if nothing else is said. Archived ones only if asked for.

        search_term: part of the name or preview, in upper or lower case. recency_at is the same as updated_at.
        Threads here have neither parent, project nor section: a filter by one of them finds nothing, project_id and
        section_id null find all. excluded_thread_ids: 100 at most. use_state_db_only makes no difference.

        Sends `thread/list`.
        """
        return await self._call("thread/list", {**self._named(ThreadListOptions, options)}, types.ThreadListResult)

    async def list_loaded(self, **options: Unpack[ThreadLoadedListOptions]) -> types.ThreadLoadedListResult:
        """Ids of the threads in memory.

        Which page; all of it if no limit is given.

        Sends `thread/loaded/list`.
        """
        return await self._call(
            "thread/loaded/list", {**self._named(ThreadLoadedListOptions, options)}, types.ThreadLoadedListResult
        )

    async def list_turns(self, thread_id: str, **options: Unpack[ThreadTurnsListOptions]) -> types.TurnsPage:
        """Turns of a thread, page by page.

        Which turns of a thread: the last ones first, in summary, if nothing else is said.

        Sends `thread/turns/list`.
        """
        return await self._call(
            "thread/turns/list",
            {"threadId": thread_id, **self._named(ThreadTurnsListOptions, options)},
            types.TurnsPage,
        )

    async def list_items(
        self, thread_id: str, **options: Unpack[ThreadItemsListOptions]
    ) -> types.ThreadItemsListResult:
        """Items of a thread or of one turn, page by page.

        Which items of a thread, or of one of its turns: the first ones first if nothing else is said.

        Sends `thread/items/list`.
        """
        return await self._call(
            "thread/items/list",
            {"threadId": thread_id, **self._named(ThreadItemsListOptions, options)},
            types.ThreadItemsListResult,
        )

    async def set_name(self, thread_id: str, name: str) -> None:
        """Gives a thread a name, or takes it away.

        The new name; an empty one takes it away.

        Sends `thread/name/set`.
        """
        await self._call("thread/name/set", {"threadId": thread_id, "name": name}, None)

    async def update_metadata(
        self, thread_id: str, **options: Unpack[ThreadMetadataUpdateOptions]
    ) -> types.ThreadResult:
        """Notes the commit, branch and origin of a thread's repository.

        What to note about the thread's repository.

        Sends `thread/metadata/update`.
        """
        return await self._call(
            "thread/metadata/update",
            {"threadId": thread_id, **self._named(ThreadMetadataUpdateOptions, options)},
            types.ThreadResult,
        )

    async def archive(self, thread_id: str) -> None:
        """Puts a thread away: out of lists, out of memory.

        Sends `thread/archive`.
        """
        await self._call("thread/archive", {"threadId": thread_id}, None)

    async def unarchive(self, thread_id: str) -> types.ThreadResult:
        """Brings it back into lists.

        Sends `thread/unarchive`.
        """
        return await self._call("thread/unarchive", {"threadId": thread_id}, types.ThreadResult)

    async def delete(self, thread_id: str) -> None:
        """Forgets a thread for good.

        Sends `thread/delete`.
        """
        await self._call("thread/delete", {"threadId": thread_id}, None)

    async def unsubscribe(self, thread_id: str) -> types.ThreadUnsubscribeResult:
        """Ends the notifications of a thread's turns; half an hour later the thread is closed.

        Sends `thread/unsubscribe`.
        """
        return await self._call("thread/unsubscribe", {"threadId": thread_id}, types.ThreadUnsubscribeResult)

    async def inject_items(self, thread_id: str, items: Sequence[Any]) -> None:
        """Adds raw input items of the Responses API to what the model is sent.

        Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them.

        Sends `thread/inject_items`.
        """
        await self._call("thread/inject_items", {"threadId": thread_id, "items": items}, None)

    async def revert(self, thread_id: str, before_turn_id: str) -> types.ThreadRevertResult:
        """Forgets a turn and all that came after it.

        Forget a turn of a thread and all that came after it.

        Sends `thread/revert`.
        """
        return await self._call(
            "thread/revert", {"threadId": thread_id, "beforeTurnId": before_turn_id}, types.ThreadRevertResult
        )

    async def rollback(self, thread_id: str, num_turns: int) -> types.ThreadResult:
        """Forgets the last turns: the older way.

        Forget so many turns at the end of a thread: the older way to revert.

        Sends `thread/rollback`.
        """
        return await self._call("thread/rollback", {"threadId": thread_id, "numTurns": num_turns}, types.ThreadResult)

    async def update_settings(self, thread_id: str, **options: Unpack[ThreadSettingsUpdateOptions]) -> None:
        """Model, effort, summary, service tier, directory, collaboration mode, from the next turn on.

        Sends `thread/settings/update`.
        """
        await self._call(
            "thread/settings/update", {"threadId": thread_id, **self._named(ThreadSettingsUpdateOptions, options)}, None
        )

    async def compact(self, thread_id: str) -> None:
        """Runs a turn that lets a summary take the place of the history.

        Sends `thread/compact/start`.
        """
        await self._call("thread/compact/start", {"threadId": thread_id}, None)


class AsyncThreadMethods(Caller):
    """Methods of the protocol for one thread."""

    id: str

    async def read(self, **options: Unpack[ThreadReadOptions]) -> types.ThreadReadResult:
        """A thread, loaded or not; `include_turns: true` with its transcript.

        Which thread to read, loaded or not. include_turns: with its whole transcript.

        Sends `thread/read`.
        """
        return await self._call(
            "thread/read", {"threadId": self.id, **self._named(ThreadReadOptions, options)}, types.ThreadReadResult
        )

    async def list_turns(self, **options: Unpack[ThreadTurnsListOptions]) -> types.TurnsPage:
        """Turns of a thread, page by page.

        Which turns of a thread: the last ones first, in summary, if nothing else is said.

        Sends `thread/turns/list`.
        """
        return await self._call(
            "thread/turns/list", {"threadId": self.id, **self._named(ThreadTurnsListOptions, options)}, types.TurnsPage
        )

    async def list_items(self, **options: Unpack[ThreadItemsListOptions]) -> types.ThreadItemsListResult:
        """Items of a thread or of one turn, page by page.

        Which items of a thread, or of one of its turns: the first ones first if nothing else is said.

        Sends `thread/items/list`.
        """
        return await self._call(
            "thread/items/list",
            {"threadId": self.id, **self._named(ThreadItemsListOptions, options)},
            types.ThreadItemsListResult,
        )

    async def set_name(self, name: str) -> None:
        """Gives a thread a name, or takes it away.

        The new name; an empty one takes it away.

        Sends `thread/name/set`.
        """
        await self._call("thread/name/set", {"threadId": self.id, "name": name}, None)

    async def update_metadata(self, **options: Unpack[ThreadMetadataUpdateOptions]) -> types.ThreadResult:
        """Notes the commit, branch and origin of a thread's repository.

        What to note about the thread's repository.

        Sends `thread/metadata/update`.
        """
        return await self._call(
            "thread/metadata/update",
            {"threadId": self.id, **self._named(ThreadMetadataUpdateOptions, options)},
            types.ThreadResult,
        )

    async def archive(self) -> None:
        """Puts a thread away: out of lists, out of memory.

        Sends `thread/archive`.
        """
        await self._call("thread/archive", {"threadId": self.id}, None)

    async def unarchive(self) -> types.ThreadResult:
        """Brings it back into lists.

        Sends `thread/unarchive`.
        """
        return await self._call("thread/unarchive", {"threadId": self.id}, types.ThreadResult)

    async def delete(self) -> None:
        """Forgets a thread for good.

        Sends `thread/delete`.
        """
        await self._call("thread/delete", {"threadId": self.id}, None)

    async def unsubscribe(self) -> types.ThreadUnsubscribeResult:
        """Ends the notifications of a thread's turns; half an hour later the thread is closed.

        Sends `thread/unsubscribe`.
        """
        return await self._call("thread/unsubscribe", {"threadId": self.id}, types.ThreadUnsubscribeResult)

    async def inject_items(self, items: Sequence[Any]) -> None:
        """Adds raw input items of the Responses API to what the model is sent.

        Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them.

        Sends `thread/inject_items`.
        """
        await self._call("thread/inject_items", {"threadId": self.id, "items": items}, None)

    async def revert(self, before_turn_id: str) -> types.ThreadRevertResult:
        """Forgets a turn and all that came after it.

        Forget a turn of a thread and all that came after it.

        Sends `thread/revert`.
        """
        return await self._call(
            "thread/revert", {"threadId": self.id, "beforeTurnId": before_turn_id}, types.ThreadRevertResult
        )

    async def rollback(self, num_turns: int) -> types.ThreadResult:
        """Forgets the last turns: the older way.

        Forget so many turns at the end of a thread: the older way to revert.

        Sends `thread/rollback`.
        """
        return await self._call("thread/rollback", {"threadId": self.id, "numTurns": num_turns}, types.ThreadResult)

    async def update_settings(self, **options: Unpack[ThreadSettingsUpdateOptions]) -> None:
        """Model, effort, summary, service tier, directory, collaboration mode, from the next turn on.

        Sends `thread/settings/update`.
        """
        await self._call(
            "thread/settings/update", {"threadId": self.id, **self._named(ThreadSettingsUpdateOptions, options)}, None
        )

    async def compact(self) -> None:
        """Runs a turn that lets a summary take the place of the history.

        Sends `thread/compact/start`.
        """
        await self._call("thread/compact/start", {"threadId": self.id}, None)
