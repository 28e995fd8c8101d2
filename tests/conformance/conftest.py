from tests.host.conftest import azurite

__all__ = ["azurite"]
