"""SQL of users, as parts of a caller's statement."""

from accounts.models import User
from gemchat.stores.statements import columns_of

ROWS_SQL = f"SELECT {columns_of(User, 'accounts_user')} FROM accounts_user"  # noqa: S608


def user_rows_cte() -> str:
    """Return every user with every column, for a join."""
    return ROWS_SQL


def lock_user_sql(*, user_id: str) -> str:
    """Lock the user with the id from this SQL."""
    return f"SELECT FROM accounts_user WHERE id = ({user_id}) FOR NO KEY UPDATE"  # noqa: S608
