"""Figures about signing in. `gemchat.metrics` says which process tells what."""

from prometheus_client import Counter

# Codes that go out and of which few come back: texts do not arrive, or somebody runs up the bill.
CODE_DELIVERIES = Counter(
    "gemchat_code_deliveries", "One-time codes handed to the SMS vendor.", ["outcome"]
)
CODE_CHECKS = Counter("gemchat_code_checks", "One-time codes that people entered.", ["outcome"])
