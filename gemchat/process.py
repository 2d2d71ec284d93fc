"""How often a process that serves looks for reference cycles among its objects."""

import gc


def look_seldom() -> None:
    """Once it has started. Each request and reply makes thousands of objects, hardly one of them
    in a cycle, and Python would look after 700: a twentieth of the CPU. What the start has made
    stays, and is not looked at any more. The old ones are looked at as often as they were: two
    thousand streams leave so much behind as they open that memory doubles otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 5, 3)
