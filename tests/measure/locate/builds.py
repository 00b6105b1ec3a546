"""Two builds of one small firmware, written here and compiled: a function more, one changed, one gone, a longer text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

GCC = shutil.which("arm-none-eabi-gcc")

SCRIPT = """
MEMORY { ROM (rx) : ORIGIN = %(origin)s, LENGTH = 1M  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 256K }
SECTIONS {
  .isr : { KEEP(*(.isr)) } > ROM
  .text : { *(.text*) *(.rodata*) . = ALIGN(8); } > ROM
  .data : { *(.data*) } > RAM AT > ROM
  .bss : { *(.bss*) *(COMMON) } > RAM
}
"""

HEAD = """
typedef unsigned u32; typedef unsigned char u8;
volatile u32 reg[64]; u32 state[%(states)d]; u8 buffer[512];
static const char *names[] = { %(names)s };
u32 check(const u8 *p, u32 n) { u32 s = %(salt)du; while (n--) s = (s << 5 | s >> 27) ^ *p++; return s; }
void put(const char *s) { while (*s) reg[3] = (u32)*s++; }
"""

SHAPES = (
    """
__attribute__((noinline)) u32 f%(i)d(u32 a, u32 b) {
  u32 s = state[%(k)d];
  for (u32 j = 0; j < (a & 31) + %(c)du; j++) { s += buffer[(j * %(c)du) & 511] ^ (b >> (j & 7)); reg[j & 63] = s; }
  if (s > %(big)du) put(names[%(n)d]); else if (s & 4) state[%(k)d] = check(buffer, s & 255);
  return s + %(callee)s;
}
""",
    """
__attribute__((noinline)) u32 f%(i)d(u32 a, u32 b) {
  switch ((a + %(c)du) & 7) {
    case 0: put("event %(i)d started"); return %(callee)s;
    case 1: state[%(k)d] ^= %(big)du; break;
    case 2: reg[%(k)d & 63] = b * %(c)du + a / %(odd)du; break;
    case 3: for (u32 j = 0; j < 8; j++) buffer[j * 3] = (u8)(a >> j); break;
    case 4: put(names[%(n)d]); return a %% %(odd)du;
    case 5: return check(buffer + %(c)d, b & 127);
    default: state[(a ^ b) & 7] += reg[%(k)d & 63];
  }
  return state[%(k)d] - b;
}
""",
    """
struct r%(i)d { u8 kind; u32 at; short level[%(c)d %% 7 + 2]; };
__attribute__((noinline)) u32 f%(i)d(u32 a, u32 b) {
  static struct r%(i)d table[4]; struct r%(i)d *t = &table[a & 3];
  t->kind = (u8)(b + %(c)du); t->at = a * %(odd)du;
  for (u32 j = 0; j < sizeof t->level / 2; j++) t->level[j] = (short)(buffer[j + %(c)d] * (int)(b - %(k)du));
  while (reg[%(k)d & 63] & %(bit)du) if (--a == 0) { put("timeout in %(i)d"); return %(big)du; }
  return t->at + (u32)t->level[1] + %(callee)s;
}
""",
)


def source(numbers: list[int], *, seed: int, salt: int = 7, states: int = 32, version: str = "1.2.0") -> str:
    """Return a firmware of the functions `numbers`; each looks the same in every build that has it."""
    words = ["idle", "ready", "motor", "valve", "sensor", "update", "radio", "battery", "watchdog", "cooling"]
    names = ", ".join(f'"{w} {k} of unit"' for k, w in enumerate(words))
    parts = [HEAD % {"states": states, "names": names, "salt": salt}]
    parts += [f"u32 f{i}(u32, u32);" for i in numbers]
    for i in numbers:
        rng = np.random.default_rng([seed, i])
        other = int(rng.integers(160))
        parts.append(
            SHAPES[int(rng.integers(len(SHAPES)))]
            % {
                "i": i,
                "k": rng.integers(0, 30),
                "c": rng.integers(3, 90),
                "n": rng.integers(0, 10),
                "odd": rng.integers(3, 99) * 2 + 1,
                "bit": 1 << rng.integers(0, 16),
                "big": rng.integers(1 << 20, 1 << 31),
                "callee": f"f{other}(b, a)" if other != i and other in numbers else "a",
            }
        )
    calls = "\n".join(f"  s += f{i}(s, {i}u);" for i in numbers)
    parts.append(f'void reset(void) {{ u32 s = 1; put("firmware {version}");\n{calls}\n  for (;;) state[0] = s; }}')
    handlers = ", ".join(["(void *)0x20040000", "reset"] + ["fault"] * 60)
    parts.append("void fault(void) { for (;;) ; }")
    parts.append(f'__attribute__((section(".isr"), used)) void *const isr[] = {{ {handlers} }};')
    return "\n".join(parts)


def build(
    folder: Path, name: str, text: str, *, origin: int = 0x08000000, optimise: str = "-Os"
) -> npt.NDArray[np.uint8]:
    """Return the compiled firmware."""
    assert GCC is not None
    (folder / f"{name}.c").write_text(text)
    (folder / "rom.ld").write_text(SCRIPT % {"origin": hex(origin)})
    elf, binary = folder / f"{name}.elf", folder / f"{name}.bin"
    flags = [
        "-mcpu=cortex-m33",
        "-mthumb",
        optimise,
        "-ffreestanding",
        "-fno-builtin",
        "-nostdlib",
        "-w",
        "-fno-toplevel-reorder",
    ]
    subprocess.run(
        [GCC, *flags, "-T", folder / "rom.ld", folder / f"{name}.c", "-o", elf], check=True, capture_output=True
    )
    copy = GCC.replace("gcc", "objcopy")
    subprocess.run([copy, "-O", "binary", "-j", ".isr", "-j", ".text", "-j", ".data", elf, binary], check=True)
    return np.fromfile(binary, np.uint8)
