"""A fake Gemini on loopback, and the settings that lead to it."""

from collections.abc import Iterator

import pytest

from billing.tests.conftest import stripe  # noqa: F401 a fixture
from messaging.tests.asking import KEY
from tests.fakes.gemini import FakeGemini


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
    return gemini
