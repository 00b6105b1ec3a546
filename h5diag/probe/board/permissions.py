"""What the caller allows; the default allows nothing.

Some things have no permission at all: PRODUCT_STATE, regression, option bytes, OTP, keys and the high-cycle area are
never written by h5diag.
"""

from __future__ import annotations

from dataclasses import dataclass

from h5diag.errors import PermissionRefused
from h5diag.memory import AddressRange, merged


@dataclass(frozen=True, slots=True)
class Permissions:
    """What may be done to a connected chip beyond reading it.

    Parameters
    ----------
    erase
        Ranges of the user flash, canonical, that may be erased and programmed; whole sectors.
    ram
        The chip's SRAM may be overwritten and code be run in it.
    halt
        The core may be stopped for longer than the reads asked for.
    reset
        The chip may be reset after connecting.
    """

    erase: tuple[AddressRange, ...] = ()
    ram: bool = False
    halt: bool = False
    reset: bool = False

    def require_erase(self, wanted: AddressRange) -> None:
        """Raise `PermissionRefused` unless every byte of `wanted` may be erased and programmed."""
        if not any(r.covers(wanted) for r in merged(self.erase)):
            raise PermissionRefused(
                f"erasing and programming {wanted} was not allowed",
                advice="name exactly this range with --range and --allow-erase",
            )

    def require(self, name: str) -> None:
        """Raise `PermissionRefused` unless ``ram``, ``halt`` or ``reset`` is allowed."""
        if not getattr(self, name):
            words = {"ram": "overwriting the chip's SRAM", "halt": "halting the core", "reset": "resetting the chip"}
            raise PermissionRefused(f"{words[name]} was not allowed", advice="connect with a Permissions that says so")


NOTHING = Permissions()
"""Allows nothing but reading."""
