"""Fixtures: the real counterparts, one of each per run.

A part that is not installed skips its tests on a developer's machine, and fails them in CI.
"""

import pytest

from parts.fluent_receiver import FluentReceiver, OtelCollector
from parts.opensearch_node import OpenSearchNode
from parts.s3_server import S3Server
from starting import started


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    with started(S3Server, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory):
    with started(OpenSearchNode, tmp_path_factory) as node:
        yield node


@pytest.fixture
def fluent(tmp_path_factory):
    with started(FluentReceiver, tmp_path_factory) as receiver:
        yield receiver


@pytest.fixture
def otel_collector(tmp_path_factory):
    with started(OtelCollector, tmp_path_factory) as collector:
        yield collector
