"""A server that fails as servers do.

Of the requests a tenth are answered with 500, a tenth not at all, one in twenty is cut midway, and some are slow. What
happens to the n-th request for a prompt is drawn from both, so that runs can be repeated.
"""

import asyncio
import random
from collections import Counter

from tests.engines.fake_server import Reply, Request, text_reply

SLOW_S = 60.0


class Faulty:
    """Answers with the prompt's text, backwards."""

    def __init__(self, slow_seconds: float = SLOW_S) -> None:
        self.slow_seconds = slow_seconds
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        """Whole answers that were sent, by prompt; whether they arrived is another matter."""
        self.faults: Counter[str] = Counter()

    async def answer(self, request: Request) -> Reply:
        text = request.text
        if text == "Hi":
            return text_reply("Hello.")
        self.asked[text] += 1
        reply = text_reply(text[::-1], token_ids=[len(text)])
        drawn = random.Random(f"{text} {self.asked[text]}").random()
        await asyncio.sleep(0.01 + 0.02 * drawn)
        if text.startswith("never"):
            return self._fault("never", Reply({"error": {"message": "too hard"}}, status=500))
        if drawn < 0.10:
            return self._fault("500", Reply({"error": {"message": "boom"}}, status=500))
        if drawn < 0.20:
            return self._fault("silent", Reply({}, stall=True))
        if drawn < 0.25:
            return self._fault("cut", Reply(reply.content, cut=len(reply.content) // 2))
        if drawn < 0.27:
            return self._fault("slow", Reply(reply.content, seconds=self.slow_seconds))
        self.answered[text] += 1
        return reply

    def _fault(self, name: str, reply: Reply) -> Reply:
        self.faults[name] += 1
        return reply
