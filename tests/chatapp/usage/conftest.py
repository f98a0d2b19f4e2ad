"""The endpoint of the stories: real HTTP, playing a part."""

from collections.abc import Iterator

import pytest

from tests.scripted_endpoint import ScriptedEndpoint


@pytest.fixture
def scripted() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as served:
        yield served
