"""The control: the chat back end that any FastAPI shop would write, for the measurements alone.

It answers the calls that are compared, with the answers' shapes of the program, on the same
PostgreSQL, Redis and fake Gemini. What it leaves out (ownership under a lock, a quota that holds,
a prompt that is stored) is left out as such programs do.
"""
