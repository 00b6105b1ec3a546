"""Does the emulator compute right? A known defect of its memory hooks is looked for before every run.

With a memory hook, a conditional store in an IT block corrupts the flags, and the result is silently wrong (seen with
unicorn 2.1.4 on M4, M7 and M33; related: unicorn issue 2309). The machine avoids such hooks; this test makes sure
that what it uses instead, a register store through a callback inside an IT block, leaves the flags alone.
"""

from __future__ import annotations

from h5diag.sim.dryrun.machine import Machine
from h5diag.sim.dryrun.nor import Nor
from h5diag.sim.dryrun.xspi import Octospi

# movs r0,#0; mov.w r2,#0x40000000; adds r2,#0x20; movs r3,#4
# loop: subs r3,#1; ittee ne; strne r3,[r2]; addne r0,#1; streq r3,[r2]; addeq r0,#16
#       cmp r3,#0; bne loop; str r0,[sp,#-4]; ldr r1,[sp,#-4]; cmp r0,r1; it eq; addeq r0,#1; bx lr
_CODE = bytes.fromhex("00204ff0804220320423013b19bf1360013013601030002bf7d14df8040c5df8041c884208bf01307047")
_EXPECTED = 3 + 16 + 1
_BASE = 0x20000000


def emulator_is_sound() -> bool:
    """Tell whether conditional stores in IT blocks leave the flags alone, to registers and to RAM."""
    profile = {
        "reset": [],
        "ready": [],
        "follow": [],
        "fixed": [],
        "modelled": [[0x40000000, 0x400]],
        "ram": [[_BASE, 0x1000]],
        "flash": [0x08000000, 0x1000],
        "xspi": [[0x44021000, 0x90000000]],
    }
    machine = Machine(profile, {0x44021000: Octospi(Nor(0x1000, b""))}, [])
    machine.write(_BASE, b"\x00\xbe\x00\x00" + _CODE)
    ending = machine.call(_BASE + 5, [], _BASE, _BASE + 0x800)
    return ending.kind == "return" and ending.registers[0] == _EXPECTED
