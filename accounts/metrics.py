"""Figures about signing in. `gemchat.monitoring.metrics` says which process tells what."""

from prometheus_client import Counter, Gauge

# Codes that go out and of which few come back: texts do not arrive, or somebody runs up the bill.
CODE_DELIVERIES = Counter(
    "gemchat_code_deliveries", "One-time codes handed to the SMS vendor.", ["outcome"]
)
CODE_CHECKS = Counter("gemchat_code_checks", "One-time codes that people entered.", ["outcome"])
CODE_REFUSALS = Counter(
    "gemchat_code_refusals", "Requests for a code that a limit refused.", ["limit"]
)
SMS_BUDGET_USED = Gauge(
    "gemchat_sms_budget_used_ratio",
    "Used share of a budget of SMS, as of this process's last send.",
    ["budget"],
)
SMS_BUDGET_ALERTS = Counter(
    "gemchat_sms_budget_alerts", "Levels that a budget of SMS has reached.", ["budget", "level"]
)
