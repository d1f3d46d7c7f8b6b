"""Waiting for something that takes its time."""

import time


def eventually(condition, what, seconds=60, every=0.1):
    """Returns the first truthy answer of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {seconds} s: {what} (last answer: {answer!r})")
        time.sleep(every)
