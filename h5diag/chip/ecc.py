"""Where an ECC error or an interrupted operation was, out of the registers that remember it.

The arithmetic differs by area and by line, so it stands in the fact files as rows of `EccArea`; this module only
applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class EccKind(Enum):
    """What an ECC register reports."""

    NONE = "none"
    CORRECTED = "corrected"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class EccArea:
    """How a failing address is told from an ECC register, for one area of the flash.

    Parameters
    ----------
    name
        ``user``, ``keys``, ``data``, ``system`` or ``otp``.
    flag
        Field of the ECC register that is set for this area; empty for the user flash, which sets none.
    region
        Name of the region where the area begins; empty for the user flash.
    step
        Bytes per unit of ADDR_ECC.
    offset
        Value of ADDR_ECC at the begin of the area.
    bank_stride
        Bytes from the begin of the area in bank 1 to its begin in bank 2; -1 for the size of a bank,
        0 when the area is not divided.
    hint
        True when the arithmetic was inferred and not confirmed.
    """

    name: str
    flag: str
    step: int
    ref: str
    region: str = ""
    offset: int = 0
    bank_stride: int = 0
    hint: bool = False


@dataclass(frozen=True, slots=True)
class EccLocation:
    """The first ECC error that an ECC register holds; later ones are not recorded until it is cleared.

    `address` is the canonical bus address of the `size` bytes concerned; it means nothing when `kind` is NONE.
    `hint` marks an address whose arithmetic is not confirmed for this chip.
    """

    kind: EccKind
    area: str = ""
    address: int = 0
    size: int = 0
    hint: bool = False


@dataclass(frozen=True, slots=True)
class Interruption:
    """A flash operation that a reset cut short, as the operation status register (OPSR) tells it.

    `code` is CODE_OP (0 = none), `operation` what it means, `area` as in `EccArea.name`, `address` the canonical
    bus address as far as ADDR_OP gives it (inferred to count bytes: `hint`).
    """

    code: int
    operation: str
    area: str = ""
    address: int = 0
    hint: bool = True
