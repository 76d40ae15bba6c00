"""Fixtures that several packages' tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of benchmark data and published tables that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not present: benchmark data and published tables are optional")
    return SHARED
