"""The control of the measurements: a chat back end as any FastAPI shop would write.

The control answers the compared calls with the program's shapes, on the same PostgreSQL, Redis and
fake Gemini. Like such programs the control has no ownership under a lock, no strict quota and no
stored prompt.
"""
