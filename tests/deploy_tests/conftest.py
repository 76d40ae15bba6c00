import pytest

from paretobert.encoders.families import FAMILIES


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param
