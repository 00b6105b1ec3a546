"""All causes: one function each does to the suspect of a scene what that cause does to a board.

Nothing here knows how the diagnosis looks for it. Each cause says by its product which scene it fits:
``oemirot`` (two boards with a boot loader), ``alone`` (one application in both banks) or ``any``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .in_flash import (
    application_wrote,
    bank_swapped,
    flash_defect,
    install_pending,
    not_erased,
    options_not_applied,
    padding,
    torn_write,
    write_protected,
    wrong_bank_erase,
    wrong_placement,
    wrong_size_assumption,
)
from .in_reading import (
    board_wiring,
    dump_corrupted,
    erratum,
    masked_read,
    worn_cells,
)
from .in_records import (
    debug_locked,
    loader_bypassed,
    loader_mislinked,
    sound,
    system_flash,
    wrong_part,
)
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Cause:
    """A hypothesis id (or ``sound``), the scene it needs, and what it does."""

    id: str
    product: str
    apply: Callable[[Scene], None]


CAUSES: tuple[Cause, ...] = (
    Cause("sound", "any", sound),
    Cause("install-pending", "oemirot", install_pending),
    Cause("masked-read", "oemirot", masked_read),
    Cause("debug-locked", "any", debug_locked),
    Cause("options-not-applied", "oemirot", options_not_applied),
    Cause("bank-swapped", "alone", bank_swapped),
    Cause("wrong-bank-erase", "alone", wrong_bank_erase),
    Cause("wrong-size-assumption", "alone", wrong_size_assumption),
    Cause("wrong-placement", "oemirot", wrong_placement),
    Cause("not-erased", "alone", not_erased),
    Cause("padding", "alone", padding),
    Cause("dump-corrupted", "any", dump_corrupted),
    Cause("loader-bypassed", "any", loader_bypassed),
    Cause("loader-mislinked", "any", loader_mislinked),
    Cause("application-wrote", "any", application_wrote),
    Cause("board-wiring", "any", board_wiring),
    Cause("torn-write", "any", torn_write),
    Cause("erratum", "any", erratum),
    Cause("write-protected", "alone", write_protected),
    Cause("worn-cells", "any", worn_cells),
    Cause("flash-defect", "alone", flash_defect),
    Cause("wrong-part", "any", wrong_part),
    Cause("system-flash", "any", system_flash),
)
BY_ID: Mapping[str, Cause] = {c.id: c for c in CAUSES}
