from billing.tests.conftest import stripe  # noqa: F401 a fixture
from messaging.tests.conftest import gemini, google  # noqa: F401 fixtures
