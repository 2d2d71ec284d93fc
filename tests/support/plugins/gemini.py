"""A fake Gemini on loopback, and the settings that lead to it."""

from collections.abc import Iterator

import pytest

from tests.support.fakes.gemini import FakeGemini
from tests.support.messaging.gemini_calls import KEY, ask

# The backends that have made a request in this process.
warm: set[str] = set()


@pytest.fixture
def gemini(settings) -> Iterator[FakeGemini]:
    """A running fake, asked through the default backend with a key."""
    with FakeGemini() as fake:
        settings.GOOGLE_API_KEY = KEY
        settings.GEMINI_API_BASE = fake.url
        settings.GEMINI_BACKEND = "messaging.gemini.google_genai.Backend"
        yield fake


@pytest.fixture(params=["google_genai", "google_generativeai"])
def google(request, gemini, settings) -> FakeGemini:
    """The same fake, asked through each of the two Google backends in turn."""
    settings.GEMINI_BACKEND = f"messaging.gemini.{request.param}.Backend"
    if request.param not in warm:
        # An SDK imports for a second at its first request. No deadline of a test is meant for it.
        ask()
        gemini.reset()
        warm.add(request.param)
    return gemini
