"""Logs in the programmer's words, with values of our own."""

from __future__ import annotations

NAMES = (*(f"R{i}" for i in range(13)), "SP", "LR", "PC", "xPSR", "MSP", "PSP")


def preparation(base=0x20000000, *, ap=0, image=0x300, older=False, download=True):
    end = base + 4 + image
    buffer = (end + 0x440) & ~0x1F
    lines = [
        f"halt ap {ap} ",
        f"w ap {ap} reg 15 PC   (0x{base:08X})  ",
        f"w ap {ap} reg 17 MSP  (0x{base + 0x500:08X})",
        f"w ap {ap} reg 16 xPSR (0x01000000)",
    ]
    if download:
        for address, size, word in ((buffer, 0x200, 0), (base, 4, 0xBE00), (base + 4, image, 0xB510B672)):
            lines.append(
                f"w ap {ap} @0x{address:08X} 0x{size:08X} bytes Data 0x{word:08X}"
                if older
                else f"w ap {ap} @0x{address:08X} : 0x{size:08X} bytes, Data 0x{word:08X}..."
            )
    return lines


def call(
    pc, arguments=(1,), *, ap=0, lr=0x20000001, msp=0x20000700, result=1, xpsr=None, before=("Init flashloader...",)
):
    values = [*arguments, *[0] * (13 - len(arguments)), 0, lr, pc, 0x01000000, msp, 0]
    lines = [*before, f"halt ap {ap} "]
    lines += [f"w ap {ap} reg {i} {name:4} 0x{v:08X}" for i, (name, v) in enumerate(zip(NAMES, values, strict=True))]
    lines += [f"run ap {ap}", f"halt ap {ap} "]
    if result is not None:
        lines.append(f"r ap {ap} reg 0 R0   0x{result:08X}")
    if xpsr is not None:
        lines.append(f"r ap {ap} reg 16 xPSR 0x{xpsr:08X}")
    return lines


def stamped(lines, form="gui"):
    """The same lines as the graphical program or the command line's log file print them."""
    if form == "plain":
        return "\n".join(lines)
    mark = " : " if form == "gui" else " "
    return "\r\n".join(f"14:25:{i // 1000 % 60:02}:{i % 1000:03}{mark}{line}" for i, line in enumerate(lines))
