"""account/rateLimits/read and account/usage/read: what the backend says of a ChatGPT account."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from appserver.errors import AppServerError, RequestError
from appserver.llm.account_api import AccountApi
from appserver.llm.account_usage import usage_in_profile, usage_of_thread
from appserver.llm.authorized import authorized
from appserver.llm.limits import LIMIT_ID, limits_by_id, ordinary_usage_allowed, reset_credits
from appserver.log import warn
from protocol.account import plan_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.auth.credentials import Credential
    from appserver.llm.authorized import Access
    from appserver.server.workspace import Client
    from protocol.usage import RateLimitsReadParams, RateLimitsReadResult, UsageReadParams, UsageReadResult


async def rate_limits_read(client: Client, params: RateLimitsReadParams) -> RateLimitsReadResult:
    """Ask how much of the account's limits is used."""
    credential = await _chatgpt(client, "rate limits")
    usage = await _ask(client, AccountApi.limits)
    credits_left = reset_credits(usage, None)
    if credits_left and credits_left["availableCount"] and not params.get("excludeResetCreditDetails"):
        credits_left = reset_credits(usage, await _reset_credit_details(client))
    plan, account_id = usage.get("plan_type"), usage.get("account_id") or credential.account_id
    limits = limits_by_id(usage, plan_type(plan if isinstance(plan, str) else None))
    return {
        "rateLimits": limits[LIMIT_ID],
        "rateLimitsByLimitId": limits,
        "rateLimitResetCredits": credits_left,
        "ordinaryUsageAllowed": ordinary_usage_allowed(usage) if account_id == credential.account_id else None,
        "rateLimitUpsell": usage.get("rate_limit_upsell"),
        "accountId": account_id,
    }


async def usage_read(client: Client, params: UsageReadParams) -> UsageReadResult:
    """Ask what the account has used, or one thread."""
    await _chatgpt(client, "token usage")
    thread_id = params.get("threadId")
    if thread_id is None:
        return usage_in_profile(await _ask(client, AccountApi.profile))
    return usage_of_thread(thread_id, await _ask(client, partial(AccountApi.thread_usage, thread_id=thread_id)))


async def _reset_credit_details(client: Client) -> dict[str, Any] | None:
    """Ask for the reset credits. That they are not told does not hide the limits."""
    try:
        return await _ask(client, AccountApi.reset_credits)
    except AppServerError as exc:
        warn(f"the rate limit reset credits were not read: {exc.message}")
        return None


async def _ask(client: Client, question: Callable[[AccountApi, Access], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Ask the backend with the credential in use. Raises BackendError, AuthError."""
    account = client.workspace.account
    api = account.api(client.session)
    return await authorized(account.authority, lambda access: question(api, access))


async def _chatgpt(client: Client, what: str) -> Credential:
    """Return the ChatGPT login in use. Raises RequestError if there is none."""
    auth = client.workspace.account.auth
    held = await auth.look()
    if held is None:
        raise RequestError(f"codex account authentication required to read {what}")
    if not held.credential.identity.is_chatgpt:
        raise RequestError(f"chatgpt authentication required to read {what}")
    return held.credential
