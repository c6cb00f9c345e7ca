"""What a person sees: signing in, consent, and what has gone wrong. Pure. No script, and nothing from elsewhere.

Every value is escaped where it is put into the page.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from appserver.gateway.scopes import MODELS, RESPONSES, RPC

if TYPE_CHECKING:
    from collections.abc import Sequence

MEANINGS = {
    MODELS: "see which models there are",
    RESPONSES: "have models answer, at the expense of your account",
    RPC: "read and write your conversations",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --dim: #5c5c5c; --paper: #f5f5f4; --card: #fff; --line: #d6d3d1;
  --accent: #0b57d0; --on-accent: #fff; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --dim: #a8a29e; --paper: #161616; --card: #222;
  --line: #3f3f3f; --accent: #8ab4f8; --on-accent: #10233f; --bad: #f2b8b5 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 24rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.5rem }
h1 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 1rem; overflow-wrap: anywhere }
p, ul { margin: 0 0 1rem; overflow-wrap: anywhere }
ul { padding-left: 1.25rem }
label { display: block; font-weight: 600; margin-bottom: 1rem }
input { display: block; width: 100%; margin-top: .25rem; padding: .625rem .75rem; font: inherit; font-weight: 400;
  color: inherit; background: transparent; border: 1px solid var(--dim); border-radius: .5rem }
button { width: 100%; padding: .75rem; font: inherit; font-weight: 600; border-radius: .5rem; cursor: pointer;
  border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent); margin-top: .5rem }
button.second { background: transparent; color: inherit; border-color: var(--line) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.dim { color: var(--dim); font-size: .875rem }
.bad { color: var(--bad) }
"""

STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def sign_in(client: str, query: str, token: str, *, name: str = "", problem: str = "") -> str:
    """Return the page on which a person signs in. `query`: the request to go on with; `token`: against forgery."""
    told = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        "Sign in",
        f"""<h1>Sign in to go on to {escape(client)}</h1>{told}
<form method="post" action="/oauth/sign-in">
<input type="hidden" name="query" value="{escape(query)}">
<input type="hidden" name="token" value="{escape(token)}">
<label>Name <input name="name" value="{escape(name)}" autocomplete="username" autocapitalize="none" required
 autofocus></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>""",
    )


def consent(client: str, host: str, scopes: Sequence[str], user: str, account: str | None, request: str) -> str:
    """Return the page that asks a person for consent. `host`: of the redirect URI; `request`: what is consented to."""
    listed = "".join(f"<li>{escape(MEANINGS[one])}</li>" for one in scopes)
    whose = f"{escape(user)}, with the model account {escape(account)}" if account else escape(user)
    return _page(
        "Allow access",
        f"""<h1>{escape(client)} wants to use your account</h1>
<p>It could:</p><ul>{listed}</ul>
<p class="dim">You are signed in as {whose}. Afterwards you are sent to {escape(host)}.</p>
<form method="post" action="/oauth/authorize">
<input type="hidden" name="request" value="{escape(request)}">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" class="second">Refuse</button>
</form>""",
    )


def problem(text: str) -> str:
    """Return the page that says what has gone wrong."""
    return _page("This did not work", f"<h1>This did not work</h1><p>{escape(text)}</p>")


def _page(title: str, content: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{content}</main></body></html>
"""
