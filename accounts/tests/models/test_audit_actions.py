"""The actions of the audit log, which each app names for itself."""

from accounts.models import AccountAction, AuditEvent
from backoffice.models import BackofficeAction
from backoffice.pages.accounts import ACTION_LABELS
from billing.models import BillingAction
from messaging.models.audit import MessagingAction
from privacy.models import PrivacyAction

APPS = [AccountAction, BillingAction, MessagingAction, PrivacyAction, BackofficeAction]


def test_actions_of_all_apps_are_unique_and_fit_their_column() -> None:
    values = [str(action) for actions in APPS for action in actions]

    assert len(values) == len(set(values))
    assert max(map(len, values)) <= (AuditEvent._meta.get_field("action").max_length or 0)


def test_filter_of_the_audit_log_offers_the_actions_of_all_apps() -> None:
    assert {value: label for actions in APPS for value, label in actions.choices} == ACTION_LABELS
    assert ACTION_LABELS["signed_in"] == "Signed In"
