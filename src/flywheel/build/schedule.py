"""The learning rate of each step: warm-up, a stable stretch, decay (WSD).

The decay follows 1 - sqrt of its course (Hägele et al. 2024, section 4): it may begin at any time,
so that a training that runs out of time still ends on a small rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

WARMUP_SHARE = 0.05
DECAY_SHARE = 0.2
"""Of all steps: a fifth is as good as a full cosine (ibid., figure 5)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Which steps warm up and which decay; the last of `num_steps` ends it."""

    num_steps: int
    num_warmup: int
    num_decay: int

    @classmethod
    def of(cls, num_steps: int) -> Schedule:
        return cls(
            num_steps=num_steps,
            num_warmup=math.ceil(WARMUP_SHARE * num_steps),
            num_decay=math.ceil(DECAY_SHARE * num_steps),
        )

    @property
    def decays_from(self) -> int:
        return self.num_steps - self.num_decay

    def factor(self, step: int) -> float:
        """What the peak rate is multiplied by in a step, counted from 0."""
        warm = min(1.0, (step + 1) / (self.num_warmup + 1))
        if step < self.decays_from:
            return warm
        return warm * (1 - math.sqrt((step - self.decays_from) / self.num_decay))

    def decaying_from(self, step: int, num_left: int) -> Schedule:
        """The schedule that decays now, within the steps that there is time for."""
        num_decay = max(min(num_left, self.num_decay), 1)
        return replace(self, num_steps=step + num_decay, num_decay=num_decay)
