"""How long does everything take? Every duration is the real one, times one factor."""

from dataclasses import dataclass

REAL_RETRY_AFTER = 60
REAL_STREAM = 60
REAL_FIRST_BYTE = 3
REAL_WINDOW = 1800
REAL_STEP = 600


@dataclass(frozen=True)
class Times:
    scale: float

    @property
    def retry_after(self) -> int:
        """Whole seconds, as the header wants them."""
        return max(1, round(REAL_RETRY_AFTER * self.scale))

    @property
    def stream(self) -> float:
        return REAL_STREAM * self.scale

    @property
    def first_byte(self) -> float:
        """From the request to the head of its answer; a refusal comes at once."""
        return REAL_FIRST_BYTE * self.scale

    @property
    def window(self) -> float:
        return REAL_WINDOW * self.scale

    @property
    def step(self) -> float:
        """Between two capacities of a moving one."""
        return REAL_STEP * self.scale

    def of(self, seconds: float) -> str:
        """A duration of memgate's configuration."""
        return f"{max(1, round(seconds * self.scale * 1000))}ms"
