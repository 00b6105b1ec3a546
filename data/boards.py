"""Boards as the cells of their flash, and what a reader with one security attribute sees of them.

An access whose attribute differs from the sector's reads 0x00 and reports nothing, as measured on silicon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from intelhex import IntelHex

IMAGES = Path(__file__).resolve().parent / "images"

BASE, SECURE_BASE, FLASH_SIZE, SECTOR = 0x08000000, 0x0C000000, 0x200000, 0x2000
S_PRIMARY, NS_PRIMARY, S_SECONDARY, NS_SECONDARY, SLOTS_END = 0x18000, 0x1E000, 0xBE000, 0xC4000, 0x164000
S_SLOT, NS_SLOT, HEADER = 0x6000, 0xA0000, 0x400
SECURE_SECTORS = range(0x0F)  # SECWM1 0..0xE
HIDDEN_SECTORS = range(0x0C)  # HDP1 0..0xB

# What the dumps of an OEMiROT board hold, as flash offsets: the boot area, the secure primary slot and the head of
# the non-secure one; its trailer, the secure secondary slot and the head of the non-secure one; the last trailer.
# The rest was not read. A board whose boot stage has hidden itself is read from the slots on.
TAIL = ((0xBDF00, 0xC5800), (SLOTS_END - 0x100, SLOTS_END))
READ_ALL = ((0x00000, 0x1F800), *TAIL)
READ_SLOTS = ((S_PRIMARY, 0x1F800), *TAIL)
READ_SHORT = ((0x10000, 0x1F800), *TAIL)
READ_SOUND = ((0x00000, 0x02000), (S_PRIMARY, 0x1F800), *TAIL)
READ_ALONE = ((0x00000, 0x02000), (0x24000, 0x28000))


@dataclass(slots=True)
class Board:
    """The cells of a 2 MB flash, erased, and what of it is secure or hidden at the moment of reading."""

    cells: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_SIZE))
    secure: range = SECURE_SECTORS
    hidden: range = range(0)

    def program(self, hexfile: IntelHex) -> None:
        """Program every record of `hexfile`, whichever alias its addresses use."""
        for start, stop in hexfile.segments():
            offset = start - (SECURE_BASE if start >= SECURE_BASE else BASE)
            self.cells[offset : offset + stop - start] = hexfile.tobinstr(start=start, size=stop - start)

    def program_at(self, offset: int, data: bytes) -> None:
        """Program `data` at a flash offset."""
        self.cells[offset : offset + len(data)] = data

    def install(self, primary: int, secondary: int, size: int, plain: bytes) -> None:
        """Do what the boot loader does: copy the slot with its body decrypted, then erase the download slot."""
        slot = self.cells[secondary : secondary + size]
        slot[HEADER : HEADER + len(plain)] = plain
        self.cells[primary : primary + size] = slot
        self.cells[secondary : secondary + size] = b"\xff" * size

    def read(self, ranges: tuple[tuple[int, int], ...], access: str, base: int = SECURE_BASE) -> IntelHex:
        """Return what accesses with this attribute see; ``all`` is a secure reader that first sets every SECBB bit."""
        seen = IntelHex()
        for start, stop in ranges:
            data = bytearray(self.cells[start:stop])
            for sector in range(start // SECTOR, -(-stop // SECTOR)):
                allowed = access == "all" or (access == "secure") == (sector in self.secure)
                if sector in self.hidden or not allowed:
                    a, b = max(start, sector * SECTOR), min(stop, (sector + 1) * SECTOR)
                    data[a - start : b - start] = bytes(b - a)
            seen.puts(base + start, bytes(data))
        return seen


def image(name: str) -> IntelHex:
    """Return a committed signed image."""
    return IntelHex(str(IMAGES / name))


def installed_board() -> Board:
    """Return a board on which the boot loader took both download images (package 1.3.0: encrypted, then installed)."""
    board = pending_board("a")
    board.install(S_PRIMARY, S_SECONDARY, S_SLOT, (IMAGES / "secure.bin").read_bytes())
    board.install(NS_PRIMARY, NS_SECONDARY, NS_SLOT, (IMAGES / "nonsecure.bin").read_bytes())
    # The boot stage has handed over: its area is hidden at HDP level 3.
    board.hidden = HIDDEN_SECTORS
    return board


def pending_board(run: str, magic: bool = True) -> Board:
    """Return a board with the images of signing run `run` in its download slots, never installed."""
    board = Board()
    board.program_at(0, (IMAGES / "boot.bin").read_bytes())
    board.program(image(f"secure_enc_sign_{run}.hex"))
    board.program(image(f"nonsecure_enc_sign_{run}.hex"))
    if not magic:
        for end in (NS_SECONDARY, SLOTS_END):
            board.program_at(end - 16, b"\xff" * 16)
    return board


def init_board() -> Board:
    """Return a board whose images went straight to the primary slots (package 1.4.0 and later)."""
    board = Board()
    board.program_at(0, (IMAGES / "boot.bin").read_bytes())
    board.program(image("secure_init_sign.hex"))
    board.program(image("nonsecure_init_sign.hex"))
    return board


def alone_board() -> Board:
    """Return a board with the stand-alone application, TrustZone off."""
    board = Board(secure=range(0))
    board.program(image("standalone.hex"))
    return board
