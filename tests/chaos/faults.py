"""What the vendors do to the run, drawn from its seed: each is planned over the sandbox's control API."""

import random
from collections import Counter
from typing import Any

from sandbox.client import SandboxClient

Plan = tuple[str, str, dict[str, Any]]
PLANS: tuple[Plan, ...] = (
    ("gemini", "status", {"operation": "generateContent", "status": 500}),
    ("gemini", "status", {"operation": "generateContent", "status": 429, "headers": {"Retry-After": "2"}}),
    ("gemini", "refuse", {"operation": "generateContent"}),
    ("gemini", "lost_reply", {"operation": "generateContent"}),
    ("gemini", "delay", {"operation": "generateContent", "seconds": 3}),
    ("kie", "status", {"operation": "createTask", "status": 429}),
    ("kie", "status", {"operation": "recordInfo", "status": 500}),
    ("kie", "lost_reply", {"operation": "createTask"}),
    ("kie", "refuse", {"operation": "createTask"}),
    ("kie", "render_fail", {"operation": "createTask"}),
    ("elevenlabs", "status", {"status": 500}),
    ("elevenlabs", "drop", {}),
    ("elevenlabs", "lost_reply", {}),
    ("elevenlabs", "delay", {"seconds": 3}),
    ("youtube", "cut", {"operation": "upload", "after_bytes": 100_000}),
    ("youtube", "lost_reply", {"operation": "upload"}),
    ("youtube", "status", {"operation": "upload", "status": 503}),
    ("notion", "status", {"operation": "pages.update", "status": 529}),
    ("notion", "status", {"operation": "pages.retrieve", "status": 500}),
    ("notion", "drop", {"operation": "webhook"}),
    ("notion", "duplicate", {"operation": "webhook"}),
)


class Faults:
    """Plans one fault after the other, every kind before any comes again."""

    def __init__(self, sandbox: SandboxClient, chance: random.Random) -> None:
        self.sandbox, self.chance = sandbox, chance
        self.planned: Counter[str] = Counter()
        self._bag: list[Plan] = []

    def plan_next(self) -> str:
        if not self._bag:
            self._bag = self.chance.sample(PLANS, len(PLANS))
        vendor, kind, details = self._bag.pop()
        self.sandbox.plan_fault(vendor, kind, **details)
        name = f"{vendor} {kind}"
        self.planned[name] += 1
        return name
