"""The front door: few names, nothing heavy, any kind of memory, and results that show themselves within bounds."""

from __future__ import annotations

import ast
import html
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from intelhex import IntelHex

import h5diag as h5
from h5diag.app.sources import TAKEN
from h5diag.case.results import Sweep
from h5diag.chip import choose_chip
from h5diag.errors import InputError
from h5diag.evidence.samples import data_folder
from h5diag.judge.control import control_chart
from h5diag.judge.fleet import Cluster, Fleet
from h5diag.judge.preflight import read_inventory
from h5diag.probe.acquire import sweep
from h5diag.show.explain import explain
from h5diag.show.view import TOPICS

DOOR = """
read_memory write_memory read_options read_log load_layout load_chip locate correlate compare examine load_case
sort_evidence diagnose connect probes read_loader read_loader_log capture_script MemoryImage AddressRange errors
keys access preflight rehearse fleet
"""
NAMES = set(DOOR.split())
BASE, MOVED = 0x08000000, 0x20000
LAYOUT = "oemirot-2m-overwrite"
PROVISIONING = "sample:provisioning/NUCLEO-H563ZI/ROT_Provisioning"
SCRIPT, BOARD = f"{PROVISIONING}/OEMiROT/provisioning.sh", "sample:provisioning/board.txt"
SUSPECT = "sample:founding/suspect-1.hex"


def content(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    good = content(0x8000, 1) + b"\xff" * 0x38000
    suspect = b"\xff" * MOVED + good[:0x8000] + b"\xff" * 0x18000
    return good, suspect


def test_exactly_these_names_are_there():
    assert set(h5.__all__) == NAMES
    for name in NAMES:
        assert getattr(h5, name) is not None
    assert set(dir(h5)) >= NAMES
    with pytest.raises(AttributeError):
        h5.list_probes  # noqa: B018


def test_import_loads_nothing_heavy():
    code = "import sys, h5diag; print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in ast.literal_eval(out)}
    assert not loaded & {"numpy", "pyocd", "matplotlib", "ipywidgets", "intelhex", "cryptography", "msgspec"}


def test_any_kind_of_memory_is_taken(pair, tmp_path):
    good, suspect = pair
    (tmp_path / "good.bin").write_bytes(good)
    hex_ = IntelHex()
    hex_.puts(BASE, good)
    image = h5.MemoryImage.from_bytes(good, BASE)
    dump = (suspect, BASE)
    wanted = [{"displacement": MOVED, "bytes": 0x8000}]
    for reference in (tmp_path / "good.bin", str(tmp_path / "good.bin"), hex_, image, (good, BASE)):
        found = h5.locate(reference, dump, chip="h563", reference_base=BASE)
        assert found.to_dict()["displacements"] == wanted
    assert h5.locate(good, suspect, chip="h563", base=BASE, reference_base=BASE).to_dict()["displacements"] == wanted
    with pytest.raises(InputError, match="no address"):
        h5.locate(good, suspect)
    assert h5.read_memory(h5.write_memory(image, tmp_path / "a.hex")) == image


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "NoneType holds no memory"),
        (5, "int holds no memory"),
        ([b"abc", BASE], "list holds no memory"),
        ((b"abc", "0x08000000"), "'0x08000000' is no address"),
        ((b"abc", -1), "-1 is no address"),
        ((b"abc", 1 << 64), "no address for 3 bytes"),
    ],
)
def test_what_is_no_memory_is_one_line(source, said):
    with pytest.raises(InputError, match=said):
        h5.read_memory(source)


def arguments_of(name):
    """Yield each argument of a call of the front door, and how to give it a value beside samples for the rest."""
    about = inspect.signature(getattr(h5, name)).parameters.values()
    due = {
        p.name: (b"abcd", BASE) if p.annotation == "Memory" else "sample:founding/good.hex"
        for p in about
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }
    for p in about:
        many, key = p.kind is p.VAR_POSITIONAL, "title" if p.kind is p.VAR_KEYWORD else p.name
        yield p, lambda value, many=many, key=key: ([value], {}) if many else ([], due | {key: value})


def test_an_argument_of_another_type_is_one_line_that_says_what_is_taken():
    seen = 0
    wrong = object()
    every = [(n, *row) for n in sorted(NAMES - {"MemoryImage", "AddressRange", "errors"}) for row in arguments_of(n)]
    for name, p, given in every:
        if p.annotation in ("bool", "Memory | None", "Iterable[Memory]"):
            continue
        args, named = given(wrong)
        with pytest.raises(InputError) as caught:
            getattr(h5, name)(*args, **named)
        memory = p.annotation == "Memory"
        said = "object holds no memory; give a path" if memory else f"{name}, {p.name}: object is not taken; give "
        assert str(caught.value).startswith(said), (name, p.name)
        assert "\n" not in str(caught.value)
        seen += 1
    assert seen > 80


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: h5.diagnose(5),
            "diagnose, case: int is not taken; give a case folder, what load_case gives, or a list",
        ),
        (lambda: h5.diagnose(["sample:founding", 5]), "diagnose, case: int is not taken"),
        (lambda: h5.diagnose(None), "diagnose, case: NoneType is not taken"),
        (lambda: h5.read_log(5), "read_log, source: int is not taken; give a path or a text"),
        (lambda: h5.read_log(b"a\nb"), "read_log, source: bytes is not taken"),
        (lambda: h5.keys("a", 5), "keys, places: int is not taken"),
        (
            lambda: h5.examine((b"ab", BASE), verify_keys="a.pem"),
            "verify_keys: str is not taken; give a list of paths",
        ),
        (lambda: h5.examine((b"ab", BASE), verify_keys={"a": 1}), "verify_keys: dict is not taken"),
        (lambda: h5.sort_evidence(b"a"), "files: bytes is not taken; give a path or a list of paths"),
        (lambda: h5.connect("virtual", erase=(1, "2")), "erase: str is not taken; give a pair of numbers"),
        (lambda: h5.connect("virtual", speed_hz="fast"), "speed_hz: str is not taken; give a number"),
        (
            lambda: h5.correlate((b"ab", BASE), (b"ab", BASE), "x"),
            "placement: str is not taken; give what locate gives",
        ),
        (lambda: h5.fleet([5], "out"), "fleet, paths: int is not taken"),
    ],
)
def test_a_wrong_type_is_told_with_its_place(call, said):
    with pytest.raises(InputError) as caught:
        call()
    assert said in str(caught.value)


def test_every_annotation_of_the_front_door_is_in_the_table():
    named = {p.annotation for n in NAMES - {"MemoryImage", "AddressRange", "errors"} for p, _ in arguments_of(n)}
    assert named - {"Memory", "Memory | None", "bool"} == set(TAKEN)


def test_what_the_annotations_name_is_taken(tmp_path):
    chip = h5.load_chip("u575")
    placement = h5.locate((b"abcd" * 64, BASE), (b"abcd" * 64, BASE), chip=chip, base=np.int64(BASE), progress=print)
    assert h5.correlate((b"abcd" * 64, BASE), (b"abcd" * 64, BASE), placement, chip=chip).to_dict()
    assert h5.examine((b"abcd" * 64, BASE), verify_keys=(k for k in ["sample:keys/sign-p256-pub.pem"]), layout=None)
    assert h5.sort_evidence(data_folder() / "founding" / "good.hex", title="x").boards
    assert h5.diagnose(h5.load_case("sample:sound")).to_dict()["verdict"]
    assert h5.locate is h5.locate
    assert (h5.keys.__name__, inspect.signature(h5.keys)) == ("read_inventory", inspect.signature(read_inventory))


def test_an_address_of_another_library_and_words_in_an_array_are_taken(pair):
    good = pair[0]
    image = h5.MemoryImage.from_bytes(good, BASE)
    assert h5.read_memory((good, np.int64(BASE))) == image
    assert h5.locate((good, np.int64(BASE)), image, chip="h563").regions
    assert h5.read_memory((np.frombuffer(good, "<u4"), BASE)) == image
    assert h5.read_memory((np.frombuffer(good, np.uint8)[::2], BASE)).size == len(good) // 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: h5.compare(m, m, access="both"), "'both' is no way to read; one of secure nonsecure"),
        (lambda m: h5.examine(m, layout=LAYOUT, loader="mine"), "'mine' is no boot loader; one of st upstream"),
        (lambda m: h5.examine(m, layout=LAYOUT, boot_mode="b"), "'b' is no boot mode; one of overwrite"),
        (lambda m: h5.connect("virtual", mode="fast"), "'fast' is no connect mode; one of attach halt under-reset"),
        (lambda m: h5.capture_script("zsh"), "'zsh' is no shell; one of sh bat"),
        (lambda m: h5.read_loader("sample:loaders/l5-good.stldr", trustzone="maybe"), "one of on off unknown"),
        (lambda m: h5.read_loader_log("a\nb\n", trustzone="maybe"), "one of on off unknown"),
        (lambda m: h5.diagnose([]), "no case was named"),
        (lambda m: h5.preflight(), "no file was named"),
        (lambda m: h5.access(), "no file was named"),
    ],
)
def test_a_word_that_is_none_is_answered_with_those_that_there_are(call, said, pair):
    with pytest.raises(InputError, match=said):
        call((pair[0], BASE))


def test_a_flashed_file_without_a_byte_is_no_error(pair):
    found = h5.examine((pair[0], BASE), layout=LAYOUT, flashed=[(b"", BASE)])
    assert found.to_dict()["images"] == []


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["image", "sample:founding/suspect-1.hex", "--layout", LAYOUT], lambda: h5.examine(SUSPECT, layout=LAYOUT)),
        (["options", "sample:founding/suspect-ob.txt"], lambda: h5.read_options("sample:founding/suspect-ob.txt")),
        (["log", "sample:founding/suspect-log.txt"], lambda: h5.read_log("sample:founding/suspect-log.txt")),
        (["diagnose", "sample:sound"], lambda: h5.diagnose("sample:sound")),
        (["keys", PROVISIONING], lambda: h5.keys(PROVISIONING)),
        (["preflight", PROVISIONING], lambda: h5.preflight(PROVISIONING)),
        (["access", PROVISIONING, BOARD], lambda: h5.access(PROVISIONING, BOARD)),
        (["rehearse", f"{PROVISIONING}/OEMiROT/provisioning.sh"], lambda: h5.rehearse(SCRIPT)),
        (["info", "--probe", "virtual"], lambda: h5.connect("virtual").__enter__().identify()),
        (
            ["info", "--probe", "virtual", "--chip", "h562"],
            lambda: h5.connect("virtual", chip="h562").__enter__().identify(),
        ),
        (
            ["loader", "lint", "sample:loaders/l5-good.stldr", "--chip", "l5"],
            lambda: h5.read_loader("sample:loaders/l5-good.stldr", chip="l5"),
        ),
        (
            ["loader", "explain", "sample:loaders/logs/l5-tz-not-downloaded.txt"],
            lambda: h5.read_loader_log("sample:loaders/logs/l5-tz-not-downloaded.txt"),
        ),
        (
            ["loader", "run", "sample:loaders/l5-good.stldr", "--chip", "l5"],
            lambda: h5.read_loader("sample:loaders/l5-good.stldr", chip="l5").dry_run(),
        ),
    ],
    ids=lambda x: " ".join(x[:2]) if isinstance(x, list) else "",
)
def test_every_command_prints_what_one_call_gives(arguments, call, capsys, monkeypatch):
    from h5diag.app.cli import main

    monkeypatch.setenv("COLUMNS", "100")
    assert main([*arguments, "--json"]) in (0, 1)
    printed = json.loads(capsys.readouterr().out)
    found = call()
    assert printed == json.loads(json.dumps(found.to_dict()))
    assert main(arguments) in (0, 1)
    assert capsys.readouterr().out.strip() == str(found).strip()


def test_a_sample_is_named_alike_in_every_command(tmp_path, capsys):
    from h5diag.app.cli import main

    assert main(["case", "sample:founding/suspect-1.hex", "--out", str(tmp_path / "case")]) == 0
    assert (tmp_path / "case" / "suspect-1.hex").is_file()
    assert main(["fleet", "sample:nothing", "--out", str(tmp_path / "fleet")]) == 2
    assert "there is no such sample" in capsys.readouterr().err


def test_what_a_command_prints_one_call_gives(pair, tmp_path, capsys):
    from h5diag.app.cli import main

    paths = []
    for name, data in zip(("good.bin", "suspect.bin"), pair, strict=True):
        (tmp_path / name).write_bytes(data)
        paths.append(str(tmp_path / name))
    for command, call in (("locate", h5.locate), ("compare", h5.compare)):
        assert main([command, *paths, "--layout", LAYOUT, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == call(*paths, layout=LAYOUT).to_dict()


def test_a_chip_that_is_assumed_is_said(pair):
    good, suspect = ((data, BASE) for data in pair)
    for found in (h5.locate(good, suspect), h5.compare(good, suspect), h5.correlate(good, suspect)):
        assert found.to_dict()["chip_known_by"] == "assumed"
    for found in (h5.locate(good, suspect, chip="stm32u575zi"), h5.compare(good, suspect, chip="stm32u575zi")):
        assert (found.to_dict()["chip"], found.to_dict()["chip_known_by"]) == ("stm32u575zi", "given")


def a_lot():
    """Return what is found of a lot, as Dask's workers would give it."""
    chart = control_chart([(f"2026-03-01T{n // 10:02d}:00:00+00:00", n % 30 == 0) for n in range(200)])
    clusters = (Cluster(193, (), ("sound",), (), "a"), Cluster(6, (BASE,), ("suspect",), ("worn-cells",), "<b>"))
    alone = Cluster(1, (BASE, BASE + 0x2000), ("undecided",), (), "c")
    deviating = ((BASE, 7), (BASE + 0x2000, 1))
    choice = choose_chip(given="h563")
    return Fleet(201, 1, 260, 3, (*clusters, alone), deviating, ("c",), "golden.bin", "boards.parquet", choice, chart)


def results(pair, folder):
    """Yield every kind of result, and whether it is a table and has a picture."""
    good, suspect = ((data, BASE) for data in pair)
    founding, loaders = data_folder() / "founding", "sample:loaders"
    diagnosis = h5.diagnose(founding)
    table, picture = True, True
    yield h5.load_chip("l5"), table, not picture
    yield h5.load_layout(LAYOUT), table, not picture
    yield h5.read_memory(founding / "good.hex"), table, picture
    yield h5.locate(good, suspect), table, picture
    yield h5.correlate(good, suspect), table, picture
    yield h5.compare(good, suspect), table, picture
    yield h5.examine("sample:founding/suspect-1.hex", layout=LAYOUT), table, picture
    yield h5.read_options("sample:founding/suspect-ob.txt", "sample:founding/good-ob.txt"), table, picture
    yield h5.read_options("sample:founding/suspect-ob.txt").boards[0], table, not picture
    yield h5.read_log("sample:founding/suspect-log.txt"), table, not picture
    yield h5.load_case("sample:founding"), table, not picture
    yield h5.sort_evidence(founding), table, not picture
    yield diagnosis, table, picture
    yield diagnosis.first, table, picture
    yield h5.diagnose(["sample:founding", "sample:sound"]), table, picture
    yield h5.read_loader(f"{loaders}/l5-good.stldr", chip="l5", trustzone="on"), table, not picture
    yield h5.read_loader_log(f"{loaders}/logs/l5-tz-not-downloaded.txt"), table, not picture
    yield explain("masked-read"), not table, not picture
    yield h5.read_loader(f"{loaders}/l5-good.stldr", chip="l5").dry_run(), table, picture
    yield h5.keys(PROVISIONING), table, not picture
    yield h5.preflight(PROVISIONING), table, not picture
    yield h5.access(PROVISIONING, "sample:provisioning/board.txt"), table, not picture
    yield h5.rehearse(f"{PROVISIONING}/OEMiROT/provisioning.sh"), table, picture
    yield a_lot(), table, picture
    with h5.connect("virtual:board=founding") as board:
        yield board.identify(), table, not picture
        dump = board.dump(BASE, BASE + 0x2000)
        yield dump, not table, picture
        yield Sweep(sweep(board, dump, speeds_hz=(1_000_000, 4_000_000))), table, not picture
    with h5.connect("virtual:board=defect+seed=1", erase=(0x08026000, 0x08028000)) as board:
        yield (
            board.flash_test(0x08026000, 0x08028000, str(folder / "test"), level="quick", power_cycles=0),
            table,
            picture,
        )


def test_results_show_themselves_within_bounds(pair, tmp_path):
    seen = set()
    for result, is_table, has_picture in results(pair, tmp_path):
        name = type(result).__name__
        seen.add(name)
        assert len(repr(result).encode()) <= 1024, name
        text = result._repr_html_()
        assert len(text.encode()) <= 30_000, name
        assert "<script" not in text, name
        assert len(result._repr_markdown_().encode()) <= 30_000, name
        json.dumps(result.to_dict(), allow_nan=False)
        first = repr(result).splitlines()[0]
        assert " ".join(str(result).split()).startswith(" ".join(first.split())[:200]), name
        assert html.escape(first.split(": ")[-1][:50]) in text, name
        if is_table:
            assert type(result.to_frame()).__name__ == "DataFrame", name
        else:
            with pytest.raises(InputError, match="no table"):
                result.to_frame()
        if has_picture:
            assert result.plot().data.startswith(b"<?xml"), name
            assert result.plot().png.startswith(b"\x89PNG"), name
        else:
            with pytest.raises(InputError, match="no picture"):
                result.plot()
    assert seen == set(TOPICS), "every kind of result is looked at"


def test_the_two_lines_of_the_readme_work(pair, tmp_path):
    good, suspect = ((data, BASE) for data in pair)
    assert h5.locate(good, suspect).plot().alt
    path = h5.diagnose(str(data_folder() / "founding")).write_up(tmp_path / "report.html")
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_a_stranger_cannot_write_markup_into_a_result(tmp_path):
    evil = tmp_path / "<img src=x onerror=alert(1)>.bin"
    evil.write_bytes(content(64, 3))
    image = h5.read_memory(evil, base=BASE)
    assert "<img" not in image._repr_html_()
    assert "\x1b" not in str(h5.read_memory((b"a" * 16, BASE)))


@pytest.mark.parametrize("command", ["locate", "compare", "image"])
def test_an_assumed_base_is_said_by_every_command(command, pair, tmp_path, capsys):
    from h5diag.app.cli import main

    paths = []
    for name, data in zip(("good.bin", "suspect.bin"), pair, strict=True):
        (tmp_path / name).write_bytes(data)
        paths.append(str(tmp_path / name))
    assert main([command, *paths[: 1 if command == "image" else 2]]) == 0
    said = " ".join(" ".join(capsys.readouterr()).split())
    assert "the base address 0x08000000 was assumed" in said
    assert "good.bin.map.json" in said
