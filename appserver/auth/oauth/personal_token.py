"""Whose a personal access token is: the token does not say, the vendor's account service does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appserver.auth.claims import Claims
from appserver.auth.credentials import PersonalToken
from appserver.auth.oauth.http import Failure
from appserver.errors import RefreshError

if TYPE_CHECKING:
    from appserver.auth.oauth.http import IssuerHttp
    from protocol.base import Secret

REFUSED: Final = (401, 403)


async def identified(http: IssuerHttp, accounts_url: str, token: Secret) -> PersonalToken:
    """Ask whose a token is. Raises RefreshError, a permanent one if the token is not accepted."""
    try:
        answer = await http.get_json(f"{accounts_url}/v1/user-auth-credential/whoami", token)
        account_id = answer.required("chatgpt_account_id").reveal()
        email, plan, user = (answer.optional(f) for f in ("email", "chatgpt_plan_type", "chatgpt_user_id"))
    except Failure as exc:
        refused = exc.status in REFUSED
        words = "The personal access token is not accepted" if refused else "It is not known whose the token is"
        raise RefreshError(f"{words}: {exc}", permanent=refused) from None
    claims = Claims(
        email=email.reveal() if email else None,
        plan=plan.reveal() if plan else None,
        user_id=user.reveal() if user else None,
        account_id=account_id,
    )
    return PersonalToken(token, claims)
