"""The ledger's statements: an attempt is recorded, and its cost counts to the day of its slot.

They are parts of statements that callers put together. `source` names relations, the first of
which has a row where there is something to record.
"""

# Once an attempt and purpose. A second writer adds no cost either.
RECORD = """
INSERT INTO billing_usagerecord (user_id, purpose, reply_id, attempt, model, outcome, error_code,
    provider_code, started_at, first_token_ms, reply_ms, prompt_tokens, output_tokens,
    cached_tokens, thinking_tokens, cost_micro_usd, estimated, created_at)
SELECT %(user)s, %(purpose)s, %(reply)s, %(attempt)s, %(served_model)s, %(outcome)s, %(error_code)s,
    %(provider_code)s, %(started_at)s, %(first_token_ms)s, %(reply_ms)s, %(prompt_tokens)s,
    %(output_tokens)s, %(cached_tokens)s, %(thinking_tokens)s, %(cost_micro_usd)s,
    %(estimated)s, %(now)s
FROM {source} ON CONFLICT (reply_id, attempt, purpose) DO NOTHING
RETURNING reply_id
"""
# The cost of an attempt and the bytes of its text, and the return of its slot: always where
# `gives_back`, and where `is_unanswered` for the first few of a day. The row is locked by the
# update, so the count is exact however many replies end at once.
SETTLE = """
UPDATE billing_dailyquota AS quota SET
    used = greatest(0, used - CASE WHEN %(gives_back)s THEN 1
        WHEN %(is_unanswered)s AND unanswered < %(give_backs)s THEN 1 ELSE 0 END),
    unanswered = unanswered + %(is_unanswered)s::int,
    cost_micro_usd = quota.cost_micro_usd + %(cost_micro_usd)s,
    text_bytes = text_bytes + %(text_bytes)s,
    minute_started_at = CASE WHEN minute_started_at > %(minute_ago)s
        THEN minute_started_at ELSE %(now)s END,
    minute_sends = CASE WHEN minute_started_at > %(minute_ago)s THEN minute_sends ELSE 0 END,
    minute_cost_micro_usd = %(cost_micro_usd)s + CASE WHEN minute_started_at > %(minute_ago)s
        THEN minute_cost_micro_usd ELSE 0 END
FROM {source} WHERE quota.user_id = %(user)s AND quota.day = %(day)s
RETURNING %(gives_back)s OR (%(is_unanswered)s AND unanswered <= %(give_backs)s) AS is_given_back
"""
RECORD_ALONE = f"""
WITH recorded AS (
    {RECORD.format(source="(SELECT 1) AS always")}
), settled AS (
    {SETTLE.format(source="recorded")}
)
SELECT count(*) FROM recorded
"""  # noqa: S608 the values are parameters
