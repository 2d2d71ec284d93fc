"""Staff actions on an account."""

from accounts.auth import rate_limits
from accounts.auth.sign_in import send_code
from accounts.models import Session
from accounts.models.audit import AccountAction
from backoffice.actions.base import ActionContext, StaffAction
from gemchat.api.errors import DomainError


class BeingErased(DomainError):
    code = "being_erased"
    message = "This account is closed, and is being erased."
    status = 409


def disable(context: ActionContext) -> None:
    context.row.disable()


def enable(context: ActionContext) -> None:
    if not context.row.enable():
        raise BeingErased


def end_sessions(context: ActionContext) -> str:
    ended = Session.objects.filter(user=context.row).end(Session.Ending.ENDED_BY_STAFF)
    return f"Sessions ended: {ended}."


def send_new_code(context: ActionContext) -> str:
    """Send a code under the limits of each number; no page displays the code."""
    send_code(mobile=context.row.mobile, client=None)
    return "A code is on its way."


def clear_lockouts(context: ActionContext) -> str:
    cleared = rate_limits.clear(mobile=context.row.mobile)
    return f"Cleared: {cleared} sends and failed attempts."


ACCOUNT_ACTIONS = [
    StaffAction(
        name="disable",
        label="Disable",
        permission="accounts.disable_user",
        event=AccountAction.USER_DISABLED,
        run=disable,
        warning="The user is refused from the next request on, and all sessions end.",
    ),
    StaffAction(
        name="enable",
        label="Enable",
        permission="accounts.disable_user",
        event=AccountAction.USER_ENABLED,
        run=enable,
        warning="The user may sign in again.",
    ),
    StaffAction(
        name="end_sessions",
        label="End all sessions",
        permission="accounts.end_sessions",
        event=AccountAction.SESSIONS_ENDED,
        run=end_sessions,
        warning="The user must sign in again on every device.",
    ),
    StaffAction(
        name="send_code",
        label="Send a code",
        permission="accounts.send_code",
        event=AccountAction.CODE_SENT,
        run=send_new_code,
        warning="A new one-time code goes to the number. No page displays the code.",
        max_rows=1,
    ),
    StaffAction(
        name="clear_lockouts",
        label="Clear lockouts",
        permission="accounts.clear_lockouts",
        event=AccountAction.CODE_CLEARED,
        run=clear_lockouts,
        warning="The counts of sends and failed attempts for the number are cleared.",
    ),
]
