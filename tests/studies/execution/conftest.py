"""The cluster that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from slurm_cluster import Cluster, started


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    yield from started()
