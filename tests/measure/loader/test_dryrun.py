from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace

import pytest

from h5diag.errors import InputError
from h5diag.measure.loader.explain import Downloaded, Story, explain
from h5diag.measure.loader.loaderfile import decode_storage, parse_loader
from h5diag.measure.loader.placement import families, family
from h5diag.measure.loader.vb3 import parse_log
from h5diag.sim.dryrun.process import ask, identity, profile, request_for
from h5diag.sim.dryrun.run import RunVerdict, dry_run, trace

from .conftest import LOADERS, sample
from .logs import call, preparation

EXPECTED = {
    "l5-good": ("off", RunVerdict.PASS, ""),
    "l5-tz-good": ("on", RunVerdict.PASS_WITH_ASSUMPTIONS, ""),
    "h5-good": ("off", RunVerdict.PASS, ""),
    "u5-good": ("off", RunVerdict.PASS, ""),
    "h5-without-read": ("off", RunVerdict.PASS, ""),
    "h5-stored-elsewhere": ("off", RunVerdict.PASS, ""),
    "h5-no-thumb-bit": ("off", RunVerdict.PASS, ""),
    "l5-tz-too-large": ("on", RunVerdict.PASS_WITH_ASSUMPTIONS, ""),
    "h5-wrong-base": ("off", RunVerdict.NOT_DOWNLOADED, "must be linked at 0x20003004"),
    "l5-overlap": ("off", RunVerdict.NOT_DOWNLOADED, "breakpoint"),
    "h5-no-storage-info": ("off", RunVerdict.NOT_DOWNLOADED, "StorageInfo"),
    "h5-shared-segment": ("off", RunVerdict.NOT_DOWNLOADED, "bypasses"),
    "u5-dirty-bss": ("off", RunVerdict.FAULT, "Init returned 0"),
    "u5-stack": ("off", RunVerdict.FAULT, "overwrote the loader's own code"),
    "h5-float": ("off", RunVerdict.FAULT, "FPU is off"),
    "h5-null-call": ("off", RunVerdict.FAULT, "called from Init+0x"),
    "h5-no-write-enable": ("off", RunVerdict.FAULT, "Write returned 1, but"),
    "u5-erase-short": ("off", RunVerdict.FAULT, "0x90002000 is not blank"),
    "h5-hang": ("off", RunVerdict.HANG, "in ready"),
}


def run(name, trustzone="off", **options):
    return dry_run(sample(name), family(name[:2]), trustzone=trustzone, **options)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_sample_ends_as_intended(name):
    trustzone, verdict, words = EXPECTED[name]
    result = run(name, trustzone)
    assert result.verdict is verdict
    assert words in result.problem
    assert bool(result.problem) is (verdict not in (RunVerdict.PASS, RunVerdict.PASS_WITH_ASSUMPTIONS))
    if verdict in (RunVerdict.FAULT, RunVerdict.HANG) and result.calls[-1].ending != "return":
        assert len(result.calls[-1].registers) == 17


def test_no_sample_is_forgotten():
    assert {p.stem for p in LOADERS.glob("*.stldr")} == set(EXPECTED)


def test_the_founding_story_before_and_after_the_fix():
    before = run("l5-good", "on")
    assert before.verdict is RunVerdict.NOT_DOWNLOADED
    assert "one report" in before.problem
    assert "0x20018004" in before.problem
    assert any("only the place is wrong" in r for r in before.remarks)
    after = run("l5-tz-good", "on")
    assert [c.function for c in after.calls] == ["Init", "SectorErase", "Init", "Write", "Init", "Read"]
    assert any("one report" in a for a in after.assumptions)
    log = parse_log("\n".join(preparation(0x20018000, download=False) + call(0x200000B1, (0,), lr=0, msp=0, result=0)))
    assert run("l5-tz-good", "on", log=log).verdict is RunVerdict.PASS
    assert "your log" in run("l5-good", "on", log=log).problem


def test_without_a_word_on_trustzone_nothing_is_refused_for_one_report():
    assert dry_run(sample("l5-good"), family("l5")).verdict is RunVerdict.PASS
    assert dry_run(sample("l5-tz-good"), family("l5")).verdict is RunVerdict.PASS_WITH_ASSUMPTIONS


def test_a_fault_shows_instruction_registers_and_symbol():
    call = run("h5-float").calls[-1]
    assert call.instruction.startswith("v") or "vldr" in call.instruction
    assert call.place.startswith("Init+0x")
    assert call.registers[15] == call.pc
    assert run("h5-hang").calls[-1].instruction.startswith("b")
    assert run("h5-good").calls[-1].instruction == ""


def test_the_memory_says_what_it_ignored():
    assert any("write-enable latch was not set" in r for r in run("h5-no-write-enable").remarks)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_trace_of_a_run_tells_the_same_story_as_the_verdict(name):
    trustzone, verdict, _ = EXPECTED[name]
    loader, chip = sample(name), family(name[:2])
    result = dry_run(loader, chip, trustzone=trustzone)
    told = explain(parse_log(trace(result, loader, chip)), loader)
    assert told.downloaded is (Downloaded.NO if verdict is RunVerdict.NOT_DOWNLOADED else Downloaded.YES)
    if verdict in (RunVerdict.PASS, RunVerdict.PASS_WITH_ASSUMPTIONS):
        assert told.story is Story.WORKED
    if verdict is RunVerdict.HANG:
        assert told.story is Story.HUNG
    assert [c.function for c in told.calls] == [c.function for c in result.calls]
    assert not any("MSP is" in r for r in told.remarks)


def code_at_init(code: bytes, name="h5-good"):
    """The sample with other instructions at the start of `Init`."""
    data = bytearray((LOADERS / f"{name}.stldr").read_bytes())
    loader = sample(name)
    at = data.index(loader.read(loader.symbol("Init").value & ~1, 32))
    data[at : at + len(code)] = code
    return parse_loader(bytes(data))


@pytest.mark.parametrize(
    ("code", "verdict", "words"),
    [
        ("fee7", RunVerdict.HANG, "instructions"),  # b .
        ("4ff080421368fce7", RunVerdict.HANG, "0x40000000"),  # ldr in a loop: register accesses
        ("00df", RunVerdict.FAULT, "SVC"),  # svc 0
        ("00de", RunVerdict.FAULT, "undefined instruction"),  # udf 0
        ("01be", RunVerdict.FAULT, "BKPT"),  # bkpt 1
        ("4ff0ff300068", RunVerdict.FAULT, "unaligned|without memory"),  # ldr r0, [0xFFFFFFFF]
        ("4ff000600060", RunVerdict.FAULT, "write to flash"),  # str to 0x08000000
        ("4ff010400060", RunVerdict.FAULT, "memory window"),  # str to 0x90000000
        ("4ff0ff307047", RunVerdict.FAULT, "0xFFFFFFFF: it is neither|neither"),  # return -1
        ("00207047", RunVerdict.FAULT, "reports failure"),  # return 0
        ("85460047", RunVerdict.FAULT, ""),  # mov sp, r0; bx r0
    ],
)
def test_what_a_loader_may_do(code, verdict, words):
    import re

    loader = code_at_init(bytes.fromhex(code))
    result = dry_run(loader, family("h5"))
    assert result.verdict is verdict
    assert re.search(words, result.problem), result.problem


def test_an_endless_loop_ends_by_the_budget():
    assert dry_run(code_at_init(bytes.fromhex("4ff080421368fce7")), family("h5")).verdict is RunVerdict.HANG


def test_a_wait_for_a_register_without_model_is_an_assumption():
    # Init: ldr r2,=GPIOA IDR; wait for bit 0; movs r0,#1; bx lr  -> then the rest of the sequence uses the good code.
    wait = bytes.fromhex("40f21002c4f202221368db07fcd5")
    loader = code_at_init(wait + bytes.fromhex("01207047"))
    result = dry_run(loader, family("h5"))
    assert any("0x42020010" in a for a in result.assumptions)
    assert result.verdict is not RunVerdict.PASS


def test_a_worker_that_takes_too_long_is_ended():
    request = request_for(sample("h5-hang"), family("h5"), 0x20003000)
    assert ask(request, 0.01)["kind"] == "hang"


def worker(code: str) -> subprocess.CompletedProcess[str]:
    boot = f"import sys; sys.path[:] = {sys.path!r}; from h5diag.sim.dryrun.worker import lock_down; lock_down(); "
    return subprocess.run([sys.executable, "-I", "-c", boot + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "open(r'{path}')",
        "open(r'{path}', 'w')",
        "import os; os.listdir('/')",
        "import os; os.remove(r'{path}')",
        "import os; os.mkdir(r'{path}x')",
        "import os; os.system('true')",
        "import os; os.open(r'{path}', 0)",
        "import socket; socket.socket()",
        "import subprocess; subprocess.Popen(['true'])",
        "import ctypes.util",
        "import os; os.fork()",
    ],
)
def test_the_worker_can_touch_nothing(code, tmp_path):
    path = tmp_path / "secret"
    path.write_text("unchanged")
    done = worker("import os\n".replace("\n", "; ") * 0 + code.replace("{path}", str(path)))
    assert done.returncode != 0
    assert "PermissionError" in done.stderr
    assert path.read_text() == "unchanged"
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_the_worker_still_computes_after_locking_down():
    assert worker("print(sum(range(10)))").stdout == "45\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits on Windows")
def test_the_worker_has_limits_of_the_system_too():
    done = worker(
        "print(resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_NOFILE))".replace(
            "print", "resource = __import__('sys').modules['resource']; print"
        )
    )
    assert done.stdout == "(0, 0) (3, 3)\n"


def test_the_self_test_sees_the_known_defect():
    """With a write hook the emulator corrupts flags in IT blocks: the self-test must notice, or it is worth nothing."""
    code = (
        "import unicorn as u; from h5diag.sim.dryrun import machine as m\n"
        "print(m.emulator_is_sound())\n"
        "old = m.Machine.__init__\n"
        "def hooked(self, *a):\n"
        "    old(self, *a); self._uc.hook_add(u.UC_HOOK_MEM_WRITE, lambda *a: None)\n"
        "m.Machine.__init__ = hooked\n"
        "print(m.emulator_is_sound())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "False"]


def test_an_unsound_emulator_is_refused(monkeypatch):
    from h5diag.sim.dryrun import machine, worker

    monkeypatch.setattr(machine, "emulator_is_sound", lambda: False)
    assert "self-test" in worker._answer({})["error"]


def test_lint_and_explain_work_without_the_emulator(tmp_path):
    code = (
        "import sys; sys.modules['unicorn'] = None\n"
        "from h5diag.app.cli import main\n"
        f"assert main(['loader', 'lint', r'{LOADERS / 'l5-good.stldr'}', '--chip', 'l5', '--json']) == 0\n"
        f"assert main(['loader', 'explain', r'{LOADERS / 'logs' / 'h5-good.txt'}', '--json']) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_missing_emulator_is_one_clear_line(monkeypatch):
    from h5diag.sim.dryrun import process

    monkeypatch.setattr(process, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed"):
        run("l5-good")


@pytest.mark.parametrize("name", [f.name for f in families()])
def test_profiles_are_consistent(name):
    table = profile(name)
    assert table["name"] == name
    known = {a for a, *_ in table["reset"]} | {a for a, *_ in table["ready"]} | {a for a, *_ in table["follow"]}
    known |= {a for a, *_ in table["fixed"]}
    for address in known:
        assert any(a <= address < a + n for a, n in table["modelled"]), hex(address)
    assert json.loads(json.dumps(table)) == table


@pytest.mark.parametrize(
    ("name", "size", "wanted"),
    [
        ("W25Q128_BOARD", 1 << 24, "ef4018"),
        ("CLIVE-W25Q512_X", 1 << 26, "ef4020"),
        ("MX25L256", 1 << 25, "c22019"),
        ("MX25LM51245G", 1 << 26, "c2853a"),
        ("MT25QL128", 1 << 24, "20ba18"),
        ("whatever", 1 << 20, "ef4014"),
    ],
)
def test_identification_by_name(name, size, wanted):
    raw = bytearray(200)
    raw[: len(name)] = name.encode()
    struct.pack_into("<I", raw, 108, size)
    assert identity(decode_storage(bytes(raw))).hex() == wanted


def info_patched(offset, value):
    data = bytearray((LOADERS / "u5-good.stldr").read_bytes())
    at = data.index(b"h5diag sample")
    data[at + offset : at + offset + len(value)] = value
    return parse_loader(bytes(data))


@pytest.mark.parametrize(
    "value",
    [
        struct.pack("<II", 1, 0x80000000),
        struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF),
        struct.pack("<II", 0, 0),
        struct.pack("<II", 3, 1),
        struct.pack("<II", 1, 0x1000),
        struct.pack("<II", 2, 0x10000),
    ],
)
def test_hostile_sectors_cost_little(value):
    dry_run(info_patched(120, value), family("u5"))
    for size in (0, 1, 0xFFFFFFFF):
        assert dry_run(info_patched(104, struct.pack("<II", 0x90000000, size)), family("u5")).calls is not None


def test_what_fits_no_ram_is_refused():
    moved = replace(
        sample("u5-good"),
        segments=tuple(replace(s, address=s.address + 0x3FC00 if s.address else 0) for s in sample("u5-good").segments),
    )
    symbols = tuple(replace(s, value=s.value + 0x3FC00) if s.function else s for s in moved.symbols)
    moved = replace(moved, symbols=symbols)
    assert "no RAM" in dry_run(moved, family("stm32u535re"), base=0x2003FC00).problem
    assert dry_run(moved, family("stm32u575zi"), base=0x2003FC00).verdict is RunVerdict.PASS


def test_functions_outside_the_image_are_faults():
    loader = sample("u5-good")
    symbols = tuple(replace(s, value=0xFFFFFFF1) if s.name == "Write" else s for s in loader.symbols)
    moved = replace(loader, symbols=symbols)
    result = dry_run(moved, family("u5"))
    assert result.verdict is RunVerdict.FAULT
