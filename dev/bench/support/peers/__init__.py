"""The control of the measurements: a chat back end as any FastAPI shop would write.

It answers the compared calls with the program's shapes, on the same PostgreSQL, Redis and fake
Gemini. Like such programs it has no ownership under a lock, no strict quota and no stored prompt.
"""
