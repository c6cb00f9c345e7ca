"""Tokens of the fake backend: what they claim, and which are honoured."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from appserver.testing import Profile, make_grant, make_jwt
from appserver.testing.ledger import RefreshState, TokenLedger
from appserver.testing.tokens import code_challenge


def claims(token: str) -> dict[str, Any]:
    header, payload, _ = token.split(".")
    assert decode(header) == {"alg": "none", "typ": "JWT"}
    return decode(payload)


def decode(segment: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return decoded


def test_a_token_carries_the_claims_of_the_real_issuer() -> None:
    payload = claims(make_jwt(account="org-2", user="user-2", email="a@example.com", plan="team"))
    assert payload["https://api.openai.com/auth"] == {
        "chatgpt_plan_type": "team",
        "chatgpt_user_id": "user-2",
        "chatgpt_account_id": "org-2",
    }
    assert payload["email"] == payload["https://api.openai.com/profile"]["email"] == "a@example.com"


def test_a_token_expires_when_asked() -> None:
    before = int(time.time())
    assert before - 10 <= claims(make_jwt(expires_in=-10))["exp"] <= time.time() - 10
    assert "exp" not in claims(make_jwt(expires_in=None))


def test_none_leaves_a_claim_out_and_more_claims_can_be_added() -> None:
    payload = claims(make_jwt(account=None, email=None, nonce="n"))
    assert "email" not in payload
    assert "chatgpt_account_id" not in payload["https://api.openai.com/auth"]
    assert payload["nonce"] == "n"


def test_no_two_tokens_are_the_same() -> None:
    first, second = make_grant(Profile()), make_grant(Profile())
    assert len({*first.as_dict().values(), *second.as_dict().values()}) == 6


def test_the_challenge_is_that_of_rfc_7636_appendix_b() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_any_bearer_is_good_until_the_first_expiry_and_none_from_before_it_after() -> None:
    ledger = TokenLedger()
    early = ledger.issue(Profile()).access_token
    assert ledger.accepts("made elsewhere")
    assert not ledger.accepts("")
    assert not ledger.accepts(None)
    ledger.expire_access_tokens()
    late = ledger.issue(Profile()).access_token
    assert [ledger.accepts(it) for it in (early, "made elsewhere", late)] == [False, False, True]
    ledger.expire_access_tokens()
    assert not ledger.accepts(late)


def test_single_tokens_can_be_accepted_and_rejected() -> None:
    ledger = TokenLedger()
    ledger.reject("one")
    assert not ledger.accepts("one")
    assert ledger.accepts("two")
    ledger.expire_access_tokens()
    ledger.accept("one")
    assert ledger.accepts("one")


def test_expiring_refresh_tokens_leaves_used_ones_used() -> None:
    ledger = TokenLedger()
    used, live = (ledger.issue(Profile()).refresh_token for _ in range(2))
    ledger.use(used)
    ledger.expire_refresh_tokens()
    assert ledger.refresh_state(used) is RefreshState.USED
    assert ledger.refresh_state(live) is RefreshState.EXPIRED
