"""Starting a counterpart, or saying loudly that it cannot be."""

import os

import pytest

from parts.process import PartMissing


def available(make, *arguments):
    """What `make` gives; a part that is not installed skips the test, and fails it in CI."""
    try:
        return make(*arguments)
    except PartMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run every test: {missing}", pytrace=False)
        pytest.skip(str(missing))


def started(server_class, tmp_path_factory, *arguments):
    """A running server, or what `available` does without it."""
    return available(lambda: server_class(tmp_path_factory.mktemp(server_class.name), *arguments).start())
