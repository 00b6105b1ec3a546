"""Registers and their fields, written in a fact file as the manual prints them: ``STRT[6:0]``, ``BSY[0]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\[(\d+)(?::(\d+))?\]")


@dataclass(frozen=True, slots=True)
class Field:
    """Bits ``[lsb, lsb + width)`` of a register, named as in the manual."""

    name: str
    lsb: int
    width: int = 1

    @classmethod
    def parse(cls, text: str) -> Field:
        """Return the field written as ``NAME[bit]`` or ``NAME[msb:lsb]``, both inclusive.

        Raises
        ------
        ValueError
            When the text is of another form or the bits do not fit into 32.
        """
        m = _FIELD.fullmatch(text)
        if not m:
            raise ValueError(f"not a field: {text!r}")
        msb, lsb = int(m[2]), int(m[3] or m[2])
        if not 0 <= lsb <= msb <= 31:
            raise ValueError(f"not bits of a 32-bit register: {text!r}")
        return cls(m[1], lsb, msb - lsb + 1)

    @property
    def mask(self) -> int:
        """The field's bits within the register."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, register: int) -> int:
        """Return the field's value out of a register value."""
        return register >> self.lsb & (1 << self.width) - 1

    def put(self, register: int, value: int) -> int:
        """Return the register value with this field set to `value`; ValueError when it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{value:#x} does not fit into {self.name}, {self.width} bits wide")
        return register & ~self.mask | value << self.lsb


@dataclass(frozen=True, slots=True)
class Register:
    """A 32-bit register of the FLASH interface; `offset` counts from its base."""

    name: str
    offset: int
    fields: tuple[Field, ...] = ()

    def field(self, name: str) -> Field:
        """Return the field called `name`; KeyError when there is none."""
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(f"{self.name} has no field {name}")

    def get(self, name: str, value: int) -> int:
        """Return field `name` out of the register's value; KeyError when there is no such field."""
        return self.field(name).get(value)
