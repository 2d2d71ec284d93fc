"""What an examination finds."""

from dataclasses import dataclass


class Unfit(Exception):
    """The file is refused, for the reason of this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The columns of a fit file; `tokens` is an estimate of Gemini's count."""

    media_type: str
    tokens: int
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    seconds: float | None = None
