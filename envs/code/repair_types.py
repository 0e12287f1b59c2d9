"""What CodeRepair knows of a library function: where it is, how a test calls it, which inputs suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thinkact.envs.code.inputs import Gen


@dataclass(frozen=True)
class Function:
    """A function of a library that plain JSON can test.

    Attributes:
        module: Module of the library that defines it.
        name: Its name there.
        call: An expression over the name and ``{}`` for each argument in turn, which gives a comparable value.
        inputs: One generator per ``{}``.
        group: Functions of one group do much the same and always share a split.
        also: Further names of the module that the expression uses.
        method: The method that is broken, if ``name`` is a class.
    """

    module: str
    name: str
    call: str
    inputs: tuple[Gen, ...]
    group: str
    also: tuple[str, ...] = ()
    method: str = ""

    @property
    def key(self) -> str:
        """``library.name`` or ``library.name.method``: what the catalogue calls it."""
        return f"{self.module.split('.')[0]}.{self.name}" + (f".{self.method}" if self.method else "")

    @property
    def library(self) -> str:
        """The import name of its library."""
        return self.module.split(".")[0]


def maker(module: str) -> Callable[..., Function]:
    """Return a short constructor for the functions of one module."""

    def make(name: str, call: str, *inputs: Gen, group: str = "", also: tuple[str, ...] = ()) -> Function:
        if call.count("{}") != len(inputs):
            raise ValueError(f"{module}.{name}: {call.count('{}')} places for {len(inputs)} inputs")
        return Function(module, name, call, inputs, group or name, also)

    return make
