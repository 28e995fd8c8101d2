"""What libraries write into the log: nothing that could name a person.

In Azure the worker sets the root logger to INFO, and what reaches it goes to Application Insights. There azure-core
writes the address of every request, with the names that a clinic gave its files
(https://github.com/Azure/azure-sdk-for-python/issues/17961), and pydicom quotes the values that it finds odd.
"""

from __future__ import annotations

import logging
import warnings

# Their lines hold addresses below WARNING; of urllib3 also at WARNING, where an answer's headers cannot be read.
_ADDRESSES = (
    "azure",
    "azure.core.pipeline.policies.http_logging_policy",
    "msal",
    "msrest",
    "urllib3",
    "requests",
    "aiohttp",
    "asyncio",
)
# Their lines hold values of data elements at every level.
_VALUES = ("pydicom", "pynetdicom", "highdicom", "PIL")


def hush() -> None:
    """Mutes them, whatever the root logger's level. It may be called again: a host sets levels too."""
    for name in _ADDRESSES:
        logging.getLogger(name).setLevel(logging.ERROR if name == "urllib3" else logging.WARNING)
    for name in _VALUES:  # no level: pydicom sets its own when it is imported
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=rf"({'|'.join(_VALUES)})(\.|$)")
