"""The registered networks as tests take them one by one."""

from __future__ import annotations

import pytest

from striate import zoo

DEEP = ("preresnet1001", "resnet1202")
"""As many layers as a hundred others together; what holds for these is asked of them too."""

NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name for name in zoo.names()
]
"""All, the deepest ones marked slow: for what does not hang on depth."""
