"""The statements by which a worker takes a reply, and finds the next one."""

# A reply that nothing in its room keeps waiting: none is being generated there, and none that was
# sent earlier is queued. Served by `message_under_way`. By hand, as every reply comes by here, and
# the ORM takes as long to put these statements together as ten of them take to run.
CLAIMABLE = """
reply.status = 'queued'
AND (reply.not_before IS NULL OR reply.not_before <= %(now)s)
AND NOT EXISTS (
    SELECT 1 FROM messaging_message other
    WHERE other.user_id = reply.user_id AND other.chatroom_id = reply.chatroom_id
    AND other.status IN ('queued', 'generating')
    AND (other.status = 'generating' OR other.id < reply.id)
)
"""
# Two workers must not both take a user's last place: the second waits here, and counts after that.
LOCK = """
SELECT FROM accounts_user WHERE id = (
    SELECT user_id FROM messaging_message WHERE id = %(reply)s AND status = 'queued'
) FOR NO KEY UPDATE
"""
CLAIM = f"""
UPDATE messaging_message AS reply SET status = 'generating', attempt = reply.attempt + 1,
    lease_expires_at = %(lease)s, started_at = %(now)s
FROM accounts_user AS owner, chatrooms_chatroom AS room
WHERE reply.id = %(reply)s AND owner.id = reply.user_id AND room.id = reply.chatroom_id
AND {CLAIMABLE}
AND (%(places)s::jsonb ->> owner.tier)::bigint > (
    SELECT count(*) FROM messaging_message WHERE user_id = owner.id AND status = 'generating'
)
RETURNING {{columns}}
"""  # noqa: S608 the values are parameters
OF_USER = f"FROM messaging_message AS reply WHERE reply.user_id = %(user)s AND {CLAIMABLE}"
NEXT = f"SELECT reply.id {OF_USER} ORDER BY reply.id"  # noqa: S608
