"""A user's own ``flash_layout.h``, evaluated by the preprocessor library pcpp.

Only the text itself is read: an ``#include`` is passed over, and nothing of it is run.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.layout.presets import area_slot, chip_with_flash
from h5diag.layout.slots import Layout, Loader, Mode, Role, Security, Slot
from h5diag.limits import HEADER_CHARACTERS, HEADER_EXPANDED, HEADER_LINE, HEADER_SECONDS, HEADER_TOKENS
from h5diag.memory import AddressRange
from h5diag.text import size_text

_CAST = re.compile(r"\(\s*u?int(?:8|16|32|64|ptr)_t\s*\)")
"""A cast to a number's type, which TF-M's headers have and a preprocessor's expressions cannot."""

_MODES = (
    ("MCUBOOT_OVERWRITE_ONLY", Mode.OVERWRITE),
    ("MCUBOOT_SWAP_USING_MOVE", Mode.SWAP_MOVE),
    ("MCUBOOT_SWAP_USING_OFFSET", Mode.SWAP_OFFSET),
    ("MCUBOOT_DIRECT_XIP_REVERT", Mode.DIRECT_XIP_REVERT),
    ("MCUBOOT_DIRECT_XIP", Mode.DIRECT_XIP),
    ("MCUBOOT_RAM_LOAD", Mode.RAM_LOAD),
    ("MCUBOOT_SWAP_USING_SCRATCH", Mode.SWAP_SCRATCH),
)
"""The macros that the boot loader itself is compiled with, in the order in which they count."""


_ST_ONLY = {"MCUBOOT_S_DATA_IMAGE_NUMBER", "MCUBOOT_USE_HASH_REF"}
"""Macros of the headers that come with ST's own boot loader, which TF-M's do not have."""

_ST_UNLESS_TFM = {"FLASH_AREA_BEGIN_OFFSET", "MCUBOOT_EXT_LOADER", "MCUBOOT_PRIMARY_ONLY"}
"""ST's older headers have no more than these; TF-M's STM32 ports may have them as well."""

_FLASH_DEVICE = 100
"""``FLASH_DEVICE_ID`` where the header leaves it to the flash map. Ref: STM32CubeL5 flash_map.h; areas use differences."""

_AREA_SIZE = tuple(f"FLASH_AREA_{i}_SIZE" for i in range(8))
_NAMES = (
    "FLASH_AREA_BL2_OFFSET",
    "FLASH_AREA_BL2_SIZE",
    "FLASH_AREA_IMAGE_SECTOR_SIZE",
    "FLASH_AREA_SCRATCH_OFFSET",
    "FLASH_AREA_SCRATCH_SIZE",
    "FLASH_BL2_HDP_END",
    "FLASH_DEVICE_ID",
    "FLASH_S_PARTITION_SIZE",
    "FLASH_TOTAL_SIZE",
    "MCUBOOT_APP_IMAGE_NUMBER",
    "MCUBOOT_IMAGE_NUMBER",
    *_AREA_SIZE,
    *(f"FLASH_AREA_{i}_{what}" for i in range(8) for what in ("OFFSET", "DEVICE_ID")),
    *(f"FLASH_DEVICE_ID_{i}" for i in range(8)),
)
"""The macros that are read; `docs/layouts.md` lists them."""


def parse_flash_layout(text: str, *, source: str = "flash_layout.h", chip: Chip | None = None) -> Layout:
    """Return the layout that a ``flash_layout.h`` of ST's boot loaders or of TF-M's STM32 ports describes.

    Parameters
    ----------
    text
        The header. Areas are taken from ``FLASH_AREA_n_OFFSET``/``_SIZE``/``_DEVICE_ID`` (n = 0 to 7), the boot loader
        from ``FLASH_AREA_BL2_*``, how images are installed from the macros that the boot loader is compiled with.
    source
        File name for messages.
    chip
        The chip, whose device macro (``STM32U585xx``) is defined for the header; by default one whose flash has
        ``FLASH_TOTAL_SIZE`` bytes, with a remark.

    Raises
    ------
    InputError
        Naming the macro that is missing or cannot be evaluated, or the line of the header that is wrong.
    """
    inside = re.search(r'#[ \t]*include[ \t]*[<"]([^">\n]{0,80}flash_layout[^">\n]{0,40})[">]', text)
    if inside and not re.search(r"#[ \t]*define[ \t]+FLASH_AREA_0_OFFSET\b", text):
        raise InputError("names regions, not slots", source=source, advice=f"give the {inside[1]} that it includes")
    defined, values = _values(text, list(_NAMES), source, chip)

    def value(name: str, default: int = -1) -> int:
        number = values.get(name, default)
        if number < 0 and name not in values:
            raise InputError(
                f"macro {name} is not defined", source=source, advice="is this the boot loader's flash_layout.h?"
            )
        if not 0 <= number < 1 << 32:
            raise InputError(f"macro {name} = {number:#x} does not fit 32 bits", source=source)
        return number

    total, sector = value("FLASH_TOTAL_SIZE", 0), value("FLASH_AREA_IMAGE_SECTOR_SIZE", 0)
    remarks = []
    if chip is None:
        chip = chip_with_flash(total, sector, text=text)
        remarks.append(f"the chip is taken for {chip.title}, by what the header names and its size; --chip names it")
    elif total not in (0, chip.flash.size):
        remarks.append(
            f"the header is for a flash of {size_text(total)}, {chip.title} has {size_text(chip.flash.size)}:"
            " is it this board's?"
        )
    base = chip.flash.base
    one_image = value("MCUBOOT_APP_IMAGE_NUMBER", value("MCUBOOT_IMAGE_NUMBER", 1 + (value(_AREA_SIZE[1], 0) > 0))) == 1
    boot, boot_size = value("FLASH_AREA_BL2_OFFSET", 0), value("FLASH_AREA_BL2_SIZE", 0)
    scratch_size = value("FLASH_AREA_SCRATCH_SIZE", 0)
    mode = next((m for macro, m in _MODES if macro in defined), None)
    if mode is None:
        # The choice stands in the boot loader's own configuration: without a scratch area it can only overwrite.
        mode = Mode.SWAP_SCRATCH if scratch_size else Mode.OVERWRITE
        remarks.append(f"the header does not say how images are installed: {mode.value} by its scratch area")
    scratch_size = scratch_size if mode is Mode.SWAP_SCRATCH else 0
    scratch = value("FLASH_AREA_SCRATCH_OFFSET", boot + boot_size) if scratch_size else boot + boot_size
    secure_stop = value("FLASH_AREA_0_OFFSET") + value("FLASH_S_PARTITION_SIZE", value("FLASH_AREA_0_SIZE"))
    if not boot_size:
        remarks.append("the header names no boot loader in the user flash: the first boot stage may stand in the ROM")
    try:
        slots = [
            Slot("boot", None, Role.BOOT, Security.SECURE, AddressRange(base + boot, base + boot + boot_size)),
            Slot(
                "scratch",
                None,
                Role.SCRATCH,
                Security.SECURE,
                AddressRange(base + scratch, base + scratch + scratch_size),
            ),
        ]
        for i in range(8):
            offset, size = value(f"FLASH_AREA_{i}_OFFSET", 0), value(_AREA_SIZE[i], 0)
            # Where areas have numbers, one without is only a size to compute with. Ref: ST's OEMIROT_FIRST_BOOT_STAGE.
            if not size or ("FLASH_AREA_0_ID" in defined and f"FLASH_AREA_{i}_ID" not in defined):
                continue
            slot = area_slot(i, offset, size, base, one_image or not chip.trustzone)
            # The boot loader's flash map takes the second name where there is one. Ref: TF-M low_level_device.c
            device = value(f"FLASH_DEVICE_ID_{i}", value(f"FLASH_AREA_{i}_DEVICE_ID", 0))
            if device not in (0, value("FLASH_DEVICE_ID", _FLASH_DEVICE)):
                slot = replace(slot, range=AddressRange(offset, offset + size), device=f"device {device}")
                remarks.append(
                    f"slot '{slot}' lies in another memory (device {device}), which a dump of the flash lacks"
                )
            elif slot.role is Role.SECONDARY and total == chip.flash.size and not chip.flash_range.covers(slot.range):
                remarks.append(f"slot '{slot}' ({slot.range}) leaves the flash that the header itself names: left out")
                continue
            slots.append(slot)
        hidden_stop = value("FLASH_BL2_HDP_END", scratch + scratch_size - 1) + 1 if boot_size else 0
        secure = AddressRange(base, base + secure_stop if chip.trustzone else base)
        # ST's own headers name their counters so as well.
        tfm = re.search(r"\bTFM_(?!NV_COUNTERS)[A-Z]{2}", text)
        st = defined & (_ST_ONLY if tfm else _ST_ONLY | _ST_UNLESS_TFM)
        loader = Loader.ST if st else Loader.UPSTREAM if tfm else None
        hidden = AddressRange(base, base + hidden_stop)
        return Layout(source, chip, mode, tuple(slots), secure, hidden, source, loader, tuple(remarks))
    except ValueError as error:
        raise InputError(str(error), source=source, advice="check the chip against FLASH_TOTAL_SIZE") from None


def _values(text: str, names: list[str], source: str, chip: Chip | None) -> tuple[set[str], dict[str, int]]:
    """Return the macros that are defined at the end of `text`, and the values of those in `names`."""
    from pcpp import OutputDirective  # builds its parser tables: slow to import

    _check_size(text, source)
    preprocessor = limited_preprocessor(source)
    problems, unknown = preprocessor.problems, preprocessor.unknown
    values, name = {}, ""
    try:
        # The compiler's command line names the part (the name without package and size); a header may ask for it.
        if chip is not None:
            preprocessor.define(f"{chip.name[:-2].upper()}xx 1")
        if not re.search(r"#\s*define\s+FLASH_DEVICE_ID\b", text):
            preprocessor.define(f"FLASH_DEVICE_ID {_FLASH_DEVICE}")
        preprocessor.parse(_CAST.sub("", text), source)
        preprocessor.write(io.StringIO())
        if problems:
            first = problems[0]
            if "#error" in first.problem and chip is None:
                raise InputError(first.problem, source=source, place=first.place, advice="name the chip with --chip")
            raise first
        for name in (n for n in names if n in preprocessor.macros):
            # ST's headers leave the device's own number to the boot loader's flash map, and only ask whether it differs.
            unknown.clear()
            number = int(preprocessor.evalexpr(preprocessor.tokenize(name))[0])
            if (unknown and not name.endswith("_DEVICE_ID")) or problems:
                what = f"uses {unknown[0]}, which is not defined" if unknown else "is not a number"
                raise InputError(f"macro {name} {what}", source=source, advice="define it in this header")
            values[name] = number
    except TooMuch as stop:
        what = f"macro {name}" if name else "it"
        raise InputError(
            f"{what} expands to more than any flash_layout.h does",
            source=source,
            place=f"line {stop.line}" if stop.line and not name else "",
            advice="give the boot loader's own header",
        ) from None
    except (
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        RecursionError,
        SyntaxError,
        ArithmeticError,
        OutputDirective,
    ) as error:
        what = f"macro {name} cannot be evaluated" if name else "the preprocessor cannot read it"
        raise InputError(f"{what} ({type(error).__name__})", source=source) from None
    return set(preprocessor.macros), values


def _check_size(text: str, source: str) -> None:
    """Refuse what would keep the preprocessor's expressions busy; no real header comes near."""
    if len(text) > HEADER_CHARACTERS:
        raise InputError(f"is longer than {HEADER_CHARACTERS >> 10} KiB, so no flash_layout.h", source=source)
    joined, first = 0, 1
    for number, line in enumerate(text.splitlines(), 1):
        joined += len(line)
        if joined > HEADER_LINE:
            raise InputError(
                f"a line of more than {HEADER_LINE} characters, so no flash_layout.h",
                source=source,
                place=f"line {first}",
            )
        if not line.endswith("\\"):
            joined, first = 0, number + 1
    if text.count("/*", text.rfind("*/") + 1) > 50:
        raise InputError(
            "comments are begun and not closed",
            source=source,
            place=f"line {1 + text.count(chr(10), 0, text.rfind('/*'))}",
        )


class TooMuch(BaseException):
    """The header asks for too much work. No `Exception`: the preprocessor would take it for a wrong expression."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line


def limited_preprocessor(source: str) -> Any:
    """Return a preprocessor that includes nothing and raises `TooMuch`.

    Its ``problems`` are the errors of the text, its ``unknown`` the names that an expression used undefined.
    """
    from pcpp import Preprocessor

    _bound_shifts()

    class Limited(Preprocessor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.problems: list[InputError] = []
            self.unknown: list[str] = []
            self.spent, self.factor, self.end = 0, 1, time.thread_time() + HEADER_SECONDS
            super().__init__()
            evaluate = self.evaluator  # type: ignore[has-type]

            def evaluated(tokens: Any, **names: Any) -> Any:
                self.spend(0, tokens, len(tokens) > HEADER_TOKENS)
                return evaluate(tokens, **names)

            self.evaluator = evaluated

        def spend(self, characters: int, tokens: Any, stop: bool = False) -> None:
            self.spent += 50 + characters
            if stop or self.spent > HEADER_EXPANDED or time.thread_time() > self.end:
                raise TooMuch(tokens[0].lineno if tokens else 0)

        def expand_macros(self, tokens: Any, expanding_from: Any = ()) -> Any:
            self.spend(_length(tokens), tokens)
            out = super().expand_macros(tokens, list(expanding_from))
            self.spend(0, out, self.factor * len(out) > HEADER_EXPANDED)
            return out

        def macro_expand_args(self, macro: Any, args: Any) -> Any:
            # Each token of the macro can become a whole argument, as it stands or expanded.
            outer, self.factor = self.factor, 1 + len(macro.value)
            self.spend(0, macro.value, self.factor * max((_length(a) for a in args), default=0) > HEADER_EXPANDED)
            try:
                return super().macro_expand_args(macro, args)
            finally:
                self.factor = outer

        def include(self, tokens: Any, original_line: Any = None) -> Iterator[Any]:
            return iter(())

        def on_error(self, file: str, line: int, message: str) -> None:
            text = message if len(message) <= 200 else message[:200] + "..."
            self.problems.append(InputError(text, source=source, place=f"line {line}"))

        def on_directive_unknown(self, directive: Any, toks: Any, ifpassthru: bool, precedingtoks: Any) -> bool:
            if directive.value == "error":
                self.on_error(source, directive.lineno, "#error " + "".join(t.value for t in toks).strip())
            return True  # #warning and the like say nothing about the slots

        def on_unknown_macro_in_expr(self, ident: str) -> int:
            self.unknown.append(ident)
            return 0  # as C says for #if

    return Limited()


def _length(tokens: Any) -> int:
    return sum(len(t.value) for t in tokens)


def _bound_shifts() -> None:
    """Make a shift by 64 bits and more an error of the expression; pcpp would build the number first."""
    from pcpp.evaluator import Value

    whole = Value.__lshift__
    if whole.__name__ == "limited":
        return

    def limited(self: Any, other: Any) -> Any:
        if not 0 <= int(Value(other)) < 64:
            return Value(0, exception=ArithmeticError("a shift by 64 bits or more"))
        return whole(self, other)

    Value.__lshift__ = limited
