"""These look at what a run has written, so they see its G2G_OUTPUTS."""

import pytest


@pytest.fixture(autouse=True)
def isolated():
    """Replaces the isolation of tests/conftest.py."""
