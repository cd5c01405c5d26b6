"""Which build of the engine runs: the interpreted one, or the one that mypyc compiled."""

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final, Literal

Build = Literal["compiled", "interpreted"]
ENGINE: Final = "core.engine"


def is_compiled(module: str) -> bool:
    """Whether importing this module gives machine code; the module itself is not imported, its package is."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"{module} is not installed")
    return spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def build() -> Build:
    """Which build of the engine this process imports."""
    return "compiled" if is_compiled(ENGINE) else "interpreted"
