"""How fast the stand-in speaks: at a reader's pace unless told otherwise."""

import os

PACE_VARIABLE = "TOKENHUB_SANDBOX_TOKENS_PER_SECOND"
USUAL_TOKENS_PER_SECOND = 60.0
#: the wait before the first token, in tokens: 0.2 s at the usual pace, none where there is no pace
FIRST_TOKEN_TOKENS = 12
SLOW_FACTOR = 10


def tokens_per_second_from_environment() -> float:
    """The default pace; 0 is without delay. SystemExit where the variable is no such number."""
    text = os.environ.get(PACE_VARIABLE, "").strip()
    try:
        pace = float(text or USUAL_TOKENS_PER_SECOND)
    except ValueError:
        pace = -1
    if not 0 <= pace < float("inf"):
        raise SystemExit(f"{PACE_VARIABLE} is {text!r}: use a number of 0 or more")
    return pace


class Pace:
    """Seconds to wait, from a number of tokens a second (0: no waiting at all)."""

    def __init__(self, tokens_per_second: float) -> None:
        self.token_seconds = 1 / tokens_per_second if tokens_per_second else 0.0
        self.first_token_seconds = self.token_seconds * FIRST_TOKEN_TOKENS
