"""What a flash test is to do and what it costs: no probe is touched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

from h5diag.chip import Chip
from h5diag.errors import InputError
from h5diag.memory import AddressRange
from h5diag.probe.acquire.plan import WORD_CLOCKS
from h5diag.probe.flashtest.patterns import ORDERS, PAIRS
from h5diag.text import count_text

SPEEDS_HZ = (4_000_000, 1_000_000)
"""Link speeds of the rounds in turn: a fault of the chip shows at both, one of the link rarely does."""

UNCONFIRMED_ENDURANCE = 10_000
"""Erase cycles that a sector of this flash is usually rated for; the data sheet was not read for it."""

_EFFICIENCY, _ERASE_S, _QUAD_S = 0.6, 5e-3, 0.4e-3


class Level(Enum):
    """How thorough: one pattern (which excludes nothing), those that show every pair of cells, or all."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"


class Way(Enum):
    """How to program: by code in the chip's SRAM, by register accesses alone, or the first if the core runs code."""

    AUTO = "auto"
    ALGORITHM = "algorithm"
    REGISTERS = "registers"


@dataclass(frozen=True, slots=True)
class PatternStep:
    """One pattern in one order: erase all sectors, look, program all, look. `number` counts through the whole test.

    The pattern `MARCH` is all zeros, upwards, and goes on where others end: the even sectors are erased while the odd
    ones hold their zeros, and programmed downwards, and the other way round; four sectors are read a hundred times in
    both states.
    """

    number: int
    round: int
    pattern: str
    order: str
    speed_hz: int
    last_of_round: bool = False


MARCH = "march"
DISTURB_READS, DISTURB_SECTORS = 100, 4
"""How often so many sectors are read while they are erased, and while they hold zeros."""

_STEPS = {
    Level.QUICK: ("address",),
    Level.STANDARD: ("address", "address-inverse", *PAIRS, MARCH),
    Level.FULL: (
        "address",
        "address-inverse",
        "solid",
        "checkerboard",
        "checkerboard-inverse",
        "random",
        "random-inverse",
        *PAIRS,
        MARCH,
    ),
}
_READS = {Level.QUICK: 1, Level.STANDARD: 2, Level.FULL: 3}


@dataclass(frozen=True, slots=True)
class TestPlan:
    """A flash test.

    Parameters
    ----------
    range
        Whole sectors of the user flash, canonical addresses.
    level
        Which patterns.
    rounds
        How often all of it; two are needed to call a chip faulty.
    speeds_hz
        Link speeds of the rounds in turn.
    backup_passes
        How often the contents are read before anything is erased, at least two.
    wait_s
        Seconds between programming and reading.
    power_cycles
        Whether the supply is turned off and on after each round but the last, while a pattern is in the flash.
    way, burst
        How to program; bytes between two looks at the busy flag when by registers.
    """

    __test__ = False  # not a test of pytest's

    range: AddressRange
    level: Level = Level.STANDARD
    rounds: int = 2
    speeds_hz: tuple[int, ...] = SPEEDS_HZ
    backup_passes: int = 3
    wait_s: float = 0.0
    power_cycles: bool = True
    way: Way = Way.AUTO
    burst: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 20:
            raise InputError(f"{count_text(self.rounds, 'round')}", advice="use 1 to 20")
        if not 2 <= self.backup_passes <= 20:
            raise InputError(f"{count_text(self.backup_passes, 'pass', 'passes')} of the backup", advice="use 2 to 20")
        if not self.speeds_hz or not all(1_000 <= s <= 100_000_000 for s in self.speeds_hz):
            raise InputError("no link speed that can be used", advice="name 1k to 100M")
        if not 0 <= self.wait_s <= 86_400:
            raise InputError(f"a wait of {self.wait_s:g} s", advice="use 0 to 86400")
        if self.burst < 16 or self.burst % 16:
            raise InputError(f"bursts of {count_text(self.burst, 'byte')}", advice="use a multiple of 16")

    @property
    def reads(self) -> int:
        """How often a programmed sector is read."""
        return _READS[self.level]

    @property
    def steps(self) -> tuple[PatternStep, ...]:
        """All steps in order."""
        names, out = _STEPS[self.level], list[PatternStep]()
        for r in range(self.rounds):
            speed = self.speeds_hz[r % len(self.speeds_hz)]
            for i, name in enumerate(names):
                order = ORDERS[0] if name == MARCH else ORDERS[(i + r) % len(ORDERS)]
                out.append(PatternStep(len(out), r + 1, name, order, speed, i == len(names) - 1))
        return tuple(out)

    @property
    def erase_cycles(self) -> int:
        """Erase cycles of each sector, the restore included."""
        return len(self.steps) + sum(s.pattern == MARCH for s in self.steps) + 1

    def check(self, chip: Chip) -> None:
        """Raise `InputError` unless the range is of whole sectors of this chip's user flash."""
        size, flash = chip.flash.sector_size, chip.flash_range
        if not self.range.size or not flash.covers(self.range):
            raise InputError(
                f"{self.range} is not in the user flash of {chip.title}",
                advice=f"the flash test knows {flash} only; OTP, keys and system flash are never touched",
            )
        if self.range.start % size or self.range.stop % size:
            a, b = self.range.start // size * size, -(-self.range.stop // size) * size
            raise InputError(
                f"{self.range} is not of whole sectors ({size // 1024} KiB)",
                advice=f"the sectors that hold it are 0x{a:08X}:0x{b:08X}",
            )

    def minutes(self, chip: Chip) -> float:
        """Return about how long it takes, from what the wire can do and what probes get of it."""
        rate = sum(s * 4 / WORD_CLOCKS * _EFFICIENCY for s in self.speeds_hz) / len(self.speeds_hz)
        sectors = self.range.size // chip.flash.sector_size
        passes = len(self.steps) * (2 + self.reads) + self.backup_passes + 5
        quads = 0.0 if self.way is Way.ALGORITHM else _QUAD_S * chip.flash.sector_size / chip.flash.program_unit
        waits = len(self.steps) * self.wait_s
        watched = 2 * chip.flash.size  # the whole flash, before and after
        marches = sum(s.pattern == MARCH for s in self.steps)
        watched += marches * 2 * DISTURB_READS * min(sectors, DISTURB_SECTORS) * chip.flash.sector_size
        return (
            (passes * self.range.size + watched) / rate + sectors * self.erase_cycles * (_ERASE_S + quads) + waits
        ) / 60

    @property
    def key(self) -> str:
        """Words by which a journal tells whether it is of the same plan."""
        fields = asdict(self) | {"level": self.level.value, "way": "", "burst": 0}
        return repr(sorted((k, str(v)) for k, v in fields.items()))


LOST = (
    "while the test runs, everything in the range: a board that is taken away then does not boot from it",
    "what the program holds in RAM and registers of peripherals goes stale: reset the board afterwards",
)
CANNOT = (
    "sectors under write protection, of the other security attribute, hidden (HDP), or of the high-cycle area",
    "sectors that read as zeros only, or hold words that cannot be read, disagree between reads or fail the ECC:"
    " no backup of them could be trusted",
    "the boot area while SECBOOT_LOCK or NSBOOT_LOCK is set",
    "system flash, option bytes, OTP and keys: nothing is said about them",
)
"""What is lost and what is not tested, for a person before the start."""


def rated_cycles(chip: Chip) -> tuple[int, str]:
    """Return the rated erase cycles of a sector, and where the number is from."""
    if chip.flash.endurance_cycles:
        return chip.flash.endurance_cycles, "chip file"
    return UNCONFIRMED_ENDURANCE, "usual for this flash, not checked against the data sheet"
