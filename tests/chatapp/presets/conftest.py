"""The endpoint of the stories: real HTTP, playing a part."""

from tests.chatapp.answers.conftest import scripted

__all__ = ["scripted"]
