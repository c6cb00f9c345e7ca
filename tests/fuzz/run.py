"""Runs the fuzz against a server: sends, learns from what comes back, and sees that all of it is as it must be."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from appserver.testing import Gate, Stream, function_call, http_error, message, output, reasoning, text
from tests.fuzz.messages import Line, Messages
from tests.fuzz.values import ODD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.testing import FakeBackend
    from appserver.testing.replies import Reply
    from tests.peer import Message, Peer

SETTINGS = ("appserver.tool_timeout=0.1", "appserver.refresh_timeout=0.1")
"""The client of the fuzz does not answer every request; nothing should wait for it as long as for a person."""

BURSTS = (1, 5, 20, 100)
"""Lines that are sent before their answers are waited for."""

TOOL = {"type": "function", "name": "lookup", "description": "d", "inputSchema": {"type": "object"}}

TOLD = {
    "thread": ("threadId",),
    "turn": ("turnId", "expectedTurnId", "lastTurnId", "beforeTurnId"),
    "nextCursor": ("cursor",),
    "backwardsCursor": ("cursor",),
    "loginId": ("loginId",),
}
"""Members of what the server says -> members of params that may bring the same."""

FAULTS_TOLD = 20

CODES = {-32700, -32600, -32601, -32602, -32001}
"""What a client's mistake may be answered with: -32603 would be one of the server's."""


class Fuzz:
    """One client that does not know what it does."""

    def __init__(self, peer: Peer, backend: FakeBackend, seed: int, image: Path) -> None:
        self._peer = peer
        self._backend = backend
        self._seed = seed
        self._image = image
        self._random = Random(seed)
        self._messages = Messages(seed)
        self._gate = Gate()
        self._asked = 0
        self._answers: dict[str | int | None, Message] = {}
        """The last answer to a request of `_ask`."""
        self._running: dict[str, str] = {}
        """The thread of each turn that has begun and not ended."""
        self._unsubscribed: set[str] = set()
        """Threads that were not listened to at some time: beginnings and ends of their turns may be missing."""
        self._faults: list[str] = []
        self._sent: dict[str | int | None, bytes] = {}
        self._expected: Counter[str | int | None] = Counter()
        self._answered: Counter[str | int | None] = Counter()
        peer.responders = {"item/tool/call": self._reply, "account/chatgptAuthTokens/refresh": self._reply}

    async def run(self, count: int) -> None:
        """Send so many lines. Fails if one is not answered once, or not as it must be, or a turn does not end once."""
        self._peer.forget()  # the handshake
        self._learn_what_is_good()
        lines = iter(self._messages)
        while count > 0:
            self._gate = Gate()
            self._script()
            await self._begin_turn()
            burst = list(islice(lines, min(count, self._random.choice(BURSTS))))  # now: it uses what was just learnt
            count -= len(burst)
            await self._send(burst)
            self._gate.release()
            await self._until("answers", self._all_answered)
            if self._random.random() < 0.3:
                await self._until("turns", self._no_turn_runs)
        await self._ask("account/read")
        await self._until("turns", self._no_turn_runs)
        self._report(fatal=bool(self._faults))

    def _learn_what_is_good(self) -> None:
        values = self._messages.values
        for member in ("accessToken", "idToken"):
            values.learn(member, self._backend.grant().access_token)
            values.learn(member, "no.jwt")
        values.learn("apiKey", "sk-fuzz")
        values.learn("modelProvider", "fake")
        values.learn("model", "fake-model")
        values.learn("path", "a\x00.png")
        values.learn("path", "\ud800.png")
        values.learn("path", "/nonexistent/a.png")
        values.learn("path", str(self._image))

    async def _begin_turn(self) -> None:
        """Sign in, and start a turn, for what follows to meet one: what was sent before may have ended all that."""
        await self._ask("account/logout", scope="local")
        await self._ask("account/login/start", type="chatgptAuthTokens", accessToken=self._backend.grant().access_token)
        started = await self._ask("thread/start", dynamicTools=[TOOL])
        thread_id = started["result"]["thread"]["id"]
        turn = (await self._ask("turn/start", threadId=thread_id, input=[{"type": "text", "text": "Hello"}]))["result"]
        turn_id = turn["turn"]["id"]
        self._messages.values.live = {"threadId": thread_id, "turnId": turn_id, "expectedTurnId": turn_id}

    async def _ask(self, method: str, **params: object) -> Message:
        """Send a valid request and return its answer."""
        self._asked += 1
        request_id = f"asked-{self._asked}"
        line = json.dumps({"id": request_id, "method": method, "params": params}).encode()
        await self._send([Line(line, [request_id])])
        await self._until("answers", lambda: request_id in self._answers)
        self._report(fatal=request_id not in self._answers)
        return self._answers[request_id]

    def _script(self) -> None:
        """Let the model say something else to each turn, and half of them wait until all has been sent."""
        arguments = ('{"id": 1}', '{"id": 1}', '{"id": NaN}', "{", "[" * 500, "", '"\\ud800"')
        call = function_call("lookup", self._random.choice(arguments))
        items = self._random.choice(((message("Half"),), (message("Half"), call)))
        waiting: Reply = Stream(items, hold_after=1, gate=self._gate)
        replies: tuple[Reply, ...] = (
            text("Hello", " there"),
            output(reasoning("I think")),
            output(call),
            http_error(self._random.choice((400, 401, 429, 500))),
        )
        self._backend.model.clear_script()
        self._backend.script(waiting, *self._random.choices((*replies, *[waiting] * len(replies)), k=40))

    async def _send(self, lines: list[Line]) -> None:
        """Send lines, some of them together, with time between them for something to happen."""
        for line in lines:
            self._expected.update(line.answers)
            self._sent.update(dict.fromkeys(line.answers, line.data))
        waiting = iter(lines)
        while together := list(islice(waiting, self._random.randrange(1, 30))):
            await self._peer.send_raw(b"".join(line.data + b"\n" for line in together))

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        try:
            await self._peer.until(lambda: self._taking_messages(condition))
        except TimeoutError:
            missing = self._expected - self._answered
            self._faults += [f"no answer to {self._sent[one]!r}" for one in missing]
            self._faults += [f"no end of turn {turn_id}" for turn_id in self._running]
            self._expected -= missing
            self._running.clear()
            assert self._faults, f"seed {self._seed}: {what} did not come"

    def _report(self, *, fatal: bool) -> None:
        told = "\n".join(self._faults[:FAULTS_TOLD])
        assert not fatal, f"seed {self._seed}: {len(self._faults)} faults\n{told}"

    def _all_answered(self) -> bool:
        return self._answered.total() >= self._expected.total()

    def _no_turn_runs(self) -> bool:
        return not self._running

    def _taking_messages(self, condition: Callable[[], bool]) -> bool:
        """Take what has come, then see whether a condition holds."""
        for one in self._peer.messages:
            if "method" in one:
                self._take_notification(one)
            else:
                self._take_answer(one)
            self._learn_from(one)
        self._peer.forget()
        return condition()

    def _take_notification(self, note: Message) -> None:
        match note["method"]:
            case "turn/started":
                self._running[note["params"]["turn"]["id"]] = note["params"]["threadId"]
            case "turn/completed":
                turn_id, thread_id = note["params"]["turn"]["id"], note["params"]["threadId"]
                if turn_id not in self._running and thread_id not in self._unsubscribed:
                    self._faults.append(f"an end too many of turn {turn_id}, or one before its beginning")
                self._running.pop(turn_id, None)

    def _take_answer(self, answer: Message) -> None:
        request_id = answer["id"]
        self._answered[request_id] += 1
        self._answers = {request_id: answer} if str(request_id).startswith("asked-") else self._answers
        line = self._sent.get(request_id)
        if self._answered[request_id] > self._expected[request_id]:
            self._faults.append(f"an answer too many to {line!r}: {answer}")
        if answer.get("result") == {"status": "unsubscribed"}:
            self._expect_no_end(json.loads(line or b"null"))
        if "error" in answer and answer["error"]["code"] not in CODES:
            self._faults.append(f"to {line!r}: {answer}")

    def _expect_no_end(self, line: object) -> None:
        """Note that the threads that a line has unsubscribed from tell nothing of their turns."""
        for one in line if isinstance(line, list) else [line]:
            match one:
                case {"method": "thread/unsubscribe", "params": {"threadId": str(thread_id)}}:
                    self._unsubscribed.add(thread_id)
                    self._running = {turn: thread for turn, thread in self._running.items() if thread != thread_id}

    def _learn_from(self, value: object) -> None:
        if isinstance(value, list):
            for element in value:
                self._learn_from(element)
        elif isinstance(value, dict):
            for name, member in value.items():
                for wanted in TOLD.get(name, ()):
                    found = member.get("id") if isinstance(member, dict) else member
                    if isinstance(found, str):
                        self._messages.values.learn(wanted, found)
                self._learn_from(member)

    def _reply(self, params: Message) -> Message | None:
        """Answer a request of the server's: as it wants, with an error, with nonsense, or not at all."""
        tokens = {"accessToken": self._backend.grant().access_token}
        tool = {"contentItems": [{"type": "inputText", "text": "done"}], "success": True}
        good = {"result": tool if "tool" in params else tokens}
        odd = {"result": self._random.choice(ODD)}
        return self._random.choice((good, good, odd, {"error": {"code": 1, "message": "no"}}, {"error": None}, None))
