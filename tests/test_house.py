"""The house keeps its own rules: floors, seams, packaging, quick import, no words that do not belong here."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "h5diag"

# A wing imports only from lower floors (and from itself). docs/architecture.md draws the same picture.
FLOORS = {
    "answer": 0,
    "errors": 0,
    "ranges": 0,
    "limits": 0,
    "text": 1,
    "memory": 1,
    "tables": 1,
    "chip": 2,
    "evidence": 3,
    "layout": 4,
    "measure": 5,
    "case": 6,
    "sim": 7,
    "probe": 8,
    "judge": 9,
    "show": 10,
    "app": 11,
}
ONLY_IN = {
    "pyocd": {"probe", "sim"},
    "matplotlib": {"show"},
    "ipywidgets": {"app"},
    "anywidget": {"app"},
    "unicorn": {"sim"},
    "dask": {"judge"},
    "distributed": {"judge"},
    "pyarrow": {"judge"},
    "tree_sitter": {"sim"},
}
FREE = {"__init__", "__main__"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if not {"_notebooks", "_data"} & set(p.parts))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(a.name, node.lineno) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append((node.module or "", node.lineno))
            if node.module == "h5diag":
                found += [(f"h5diag.{a.name}", node.lineno) for a in node.names]
    return found


LOOKED_UP = re.compile(r"h5diag(?:\.[a-z_]+)+")
HOOKS = {"answer.py", "__init__.py"}
"""Results find what shows them by name, the front door what is behind it: there and nowhere else."""


def looked_up(path: Path) -> list[tuple[str, int]]:
    """Return the modules that are named in a string, as `import_module` and `files` take them."""
    return [
        (node.value, node.lineno)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and LOOKED_UP.fullmatch(node.value)
    ]


def test_every_room_has_a_floor():
    assert {room_of(p) for p in modules()} - FREE <= set(FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_lower_floors(path):
    room = room_of(path)
    if room in FREE:
        return
    hidden = [] if path.relative_to(PACKAGE).as_posix() in HOOKS else looked_up(path)
    for name, line in imports(path) + hidden:
        parts = name.split(".")
        if parts[0] == "h5diag" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != room:
            assert FLOORS[parts[1]] < FLOORS[room], f"{path.name}:{line}: {room} imports {parts[1]}"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{path.name}:{line}: {parts[0]} belongs to {sorted(ONLY_IN[parts[0]])}"


def test_the_rule_about_floors_sees_every_way_to_import(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import h5diag.show\ndef f():\n    from h5diag.show import sheet\n    from h5diag import judge\n"
        "    import_module('h5diag.show.answers')\n"
    )
    assert {n.split(".")[1] for n, _ in imports(bad) if "." in n} == {"show", "judge"}
    assert looked_up(bad) == [("h5diag.show.answers", 5)]


def circle(package: Path) -> list[str]:
    """Return modules that import one another in a circle, an import inside a function or for types included."""
    names = {".".join(p.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): p
             for p in package.rglob("*.py")}  # fmt: skip
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        found = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
        for node in (n for n in nodes if isinstance(n, ast.ImportFrom) and n.module):
            found |= {
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in names else node.module for a in node.names
            }
        needs[name] = found & set(names) - {name, package.name}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_inside_a_wing_imports_run_one_way_too(tmp_path):
    assert circle(PACKAGE) == []
    wing = tmp_path / "wing"
    wing.mkdir()
    (wing / "__init__.py").write_text("")
    (wing / "a.py").write_text("def f():\n    from wing.b import g\n")
    (wing / "b.py").write_text("from wing import c\n")
    (wing / "c.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import wing.a\n")
    assert set(circle(wing)) == {"wing.a", "wing.b", "wing.c"}
    (wing / "c.py").write_text("import json\n")
    assert circle(wing) == []


def test_the_picture_in_the_docs_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for room in {room_of(p) for p in modules()} - FREE:
        assert f"`{room}" in text, room


def test_what_the_picture_names_is_there():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)/` \| (.*)$", text, re.MULTILINE)
    assert {wing for wing, _ in rows} >= {"evidence", "app"}
    named = [(wing, name) for wing, row in rows for name in re.findall(r"`(\w+\.py)`", row)]
    named += re.findall(r"`(\w+)/(\w+\.py)`", text)
    for wing, name in named:
        assert wing == "tests" or list((PACKAGE / wing).rglob(name)), f"{wing}: {name}"


# A module holds one idea whole. Faces (`__init__`, `__main__`) only name what is behind them.
SMALL = {"evidence/samples.py", "text.py"}
"""Modules of fewer than 60 lines: the list only shrinks."""


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_is_neither_a_scrap_nor_a_hall(path):
    lines, name = len(path.read_text("utf-8").splitlines()), path.relative_to(PACKAGE).as_posix()
    assert lines <= 600, "split it by its ideas"
    if path.stem not in FREE and name not in SMALL:
        assert lines >= 60, "merge it with what it belongs to"


# One door for strangers' files (and for what is written beside them), one for what is printed.
DOORED = {"evidence", "layout", "measure", "case", "judge", "show"}
FILE_CALLS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "fromfile", "memmap", "copyfile"),
    *("glob", "rglob", "iterdir", "walk", "scandir", "listdir", "mkstemp", "NamedTemporaryFile"),
    *("loadtxt", "genfromtxt", "fromregex", "loadhex", "loadbin", "imread"),
    *("fileinput", "getlines", "mmap", "urlopen", "iterparse"),
}
UNCALLED = {"read_text", "read_bytes", "write_text", "write_bytes", "fromfile", "memmap"}
OPENERS = {"ZipFile", "TarFile", "IntelHex", "GzipFile"}
"""They open what they are given, unless it is bytes already."""
OPENS_FILES = {"evidence/door.py"}
OPENS_OWN = {
    **dict.fromkeys(["tables.py", "chip/files.py", "sim/dryrun/process.py"], "tables of the package"),
    **dict.fromkeys(["app/lab.py", "app/loader_project.py", "app/panels/evidence.py"], "samples"),
    "sim/virtual/boards.py": "samples",
    **dict.fromkeys(["probe/acquire/journal.py", "probe/flashtest/folder.py", "probe/capture_run.py"], "own journals"),
    **dict.fromkeys(["sim/virtual/chip.py", "sim/virtual/record.py"], "the kept flash, the recording"),
    **dict.fromkeys(["probe/board/link.py", "probe/board/probes.py"], "pyOCD's sessions and links"),
    "sim/rehearse/walk.py": "a script's walk",
}
"""Modules of the other wings in which such a call opens no stranger's file, and what it is."""
PRINTS = {"show/printing.py", "sim/dryrun/worker.py", "app/cli/__init__.py"}


def calls_of(path: Path) -> list[tuple[str, str, int]]:
    """Return (name of the function, the call as written, line) of every call in a module."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found.append((name, ast.unparse(node.func), node.lineno))
    return found


def opens_files(path: Path) -> list[int]:
    """Return the lines that open, list or write files; what travels in the package is no stranger's.

    What is ``zipped`` lies in an archive that was read already.
    """
    found = [
        line
        for name, call, line in calls_of(path)
        if (name in FILE_CALLS or call in ("np.load", "numpy.load"))
        and not re.match(r"(?:resources\.)?\(*(?:resources\.)?files\(", call)
        and not call.startswith(("self.", "zipped."))
    ]
    tree = ast.parse(path.read_text("utf-8"))
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in OPENERS:
            found += [node.lineno for a in node.args[:1] if not ast.unparse(a).startswith("io.BytesIO(")]
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in called:
            name = node.id if isinstance(node, ast.Name) else node.attr
            bare = isinstance(node, ast.Name) and name == "open"
            found += [node.lineno] if bare or name in UNCALLED else []  # the function under another name
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_strangers_files_are_read_and_written_through_one_door(path):
    name = path.relative_to(PACKAGE).as_posix()
    if name not in OPENS_FILES and name not in OPENS_OWN:
        lines = opens_files(path)
        assert not lines, f"{name}: {lines}: read through h5diag.evidence.door.read_evidence, write by write_whole"


def test_who_may_open_files_does():
    for name in (*OPENS_FILES, *OPENS_OWN):
        assert opens_files(PACKAGE / name), f"{name} opens nothing any more: take it out of the list"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_links_are_followed_by_the_door_alone(path):
    """`Path.resolve` raises where links run in a circle, `Path.is_dir` where a name is too long, `with_name` at "/"."""
    if room_of(path) in DOORED and path.relative_to(PACKAGE).as_posix() not in (*OPENS_FILES, "evidence/samples.py"):
        asks = {"resolve", "is_dir", "is_file", "exists", "with_name", "with_stem"}
        found = [(call, n) for f, call, n in calls_of(path) if f in asks and "." in call and "__file__" not in call]
        lines = [n for call, n in found if not call.startswith("os.path.")]
        assert not lines, f"{path.name}: {lines}: h5diag.evidence.door.real_path, is_folder, is_evidence, is_there"


WRITES_AS_IT_GOES = {
    "evidence/door.py",  # the door itself
    "chip/files.py",  # `make index`, into the source
    "probe/acquire/journal.py",  # the reads of a dump, each whole or cut off, so that a kill loses none
    "probe/flashtest/folder.py",  # the journal of a test, each line on the disk before the chip is touched
    "probe/capture_run.py",  # what the programmer says, step after step
    "sim/virtual/chip.py",  # the kept flash of a virtual chip: a memory map
    "sim/virtual/record.py",  # the recording of a session that may end at any time
}
"""What grows while a board is at work cannot be written whole at the end; everything else is."""


def writes(path: Path) -> list[int]:
    """Return the lines that write a file past `write_whole`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [c.value for a in (*node.args, *node.keywords) for c in ast.walk(a) if isinstance(c, ast.Constant)]
            modes = [
                m for m in given if isinstance(m, str) and re.fullmatch(r"[rwaxbt+]{1,3}", m) and set(m) & set("wax+")
            ]
            copies = name in {"copyfile", "copytree", "copy2"} and ast.unparse(node.func).startswith("shutil.")
            if name in {"write_text", "write_bytes", "tofile"} or copies or (name in {"open", "FileIO"} and modes):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_everything_is_written_whole_or_not_at_all(path):
    name = path.relative_to(PACKAGE).as_posix()
    if name not in WRITES_AS_IT_GOES:
        assert not writes(path), f"{name}: {writes(path)}: write by h5diag.evidence.door.write_whole"


def test_the_rule_about_writing_finds_what_it_looks_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "open(a, 'w')\nPath(a).open('ab')\np.write_text(b)\np.write_bytes(b)\nshutil.copyfile(a, b)\nopen(a)\n"
        "io.FileIO(p, 'r+')\np.open(mode='xb')\nstream.open(w)\nopen(a, 'rb')\n"
    )
    assert writes(bad) == [1, 2, 3, 4, 5, 7, 8]
    for name in WRITES_AS_IT_GOES:
        assert writes(PACKAGE / name), f"{name} writes nothing any more: take it out of the list"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_everything_printed_goes_through_one_door(path):
    name = path.relative_to(PACKAGE).as_posix()
    if name not in PRINTS:
        assert not printed(path), f"{name}: {printed(path)}: print through h5diag.show.printing"


def printed(path: Path) -> list[int]:
    """Return the lines that print."""
    named = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name) and node.id == "print" and isinstance(node.ctx, ast.Load)
    ]
    writers = r"\bstd(?:out|err)(?:\.buffer)?\.write|\bbuiltins\.print|\bos\.write$"
    writers += r"|\blogging\.(?:debug|info|warning|error)$|\bwarnings\.warn$"
    return named + [n for _, call, n in calls_of(path) if re.search(writers, call)]


def test_the_rules_about_doors_find_what_they_look_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import sys\nPath(a).open()\nopen(a)\np.read_bytes()\nsorted(p.glob('*'))\nos.walk(p)\n"
        "print(a)\nsys.stdout.write(a)\nresources.files('h5diag').joinpath('a').read_text()\n"
        "np.load(a)\nzipfile.ZipFile(a)\nIntelHex(a)\nread = open\nIntelHex()\nzipfile.ZipFile(io.BytesIO(b))\n"
        "say = print\nsys.stderr.buffer.write(a)\nbuiltins.print(a)\nos.write(1, a)\nlogging.info(a)\nwarnings.warn(a)\n"
        "map(Path.read_text, a)\nf = p.read_bytes\nlinecache.getlines(a)\n"
    )
    assert sorted(opens_files(bad)) == [2, 3, 4, 5, 6, 10, 11, 12, 13, 22, 23, 24]
    assert sorted(printed(bad)) == [7, 8, 16, 17, 18, 19, 20, 21]


# What a person sees is written in `show/`: below it there are values.
BELOW_SHOW = {"chip", "evidence", "layout", "measure", "case", "sim", "probe", "judge"}
MARKUP = re.compile(r"</?(?:t[dr]|table|div|span|p|b|h[1-6])[ >]|\x1b\[")
COLUMNS = re.compile(r"%-\d+s|\{[\w.]*:[^{}]?[<>^]\d+\}")
LAYS_OUT = re.compile(r"(?:\.[lr]just|\bhtml\.escape|\bget_terminal_size)$")
WRITES_COLUMNS = {"sim/rehearse/chip_state.py"}
"""Words of another tool, in its columns."""


def formats(path: Path) -> list[int]:
    """Return the lines that lay out text for a person: markup, colours, columns, the width of a terminal."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(a.name for a in node.names)]
            found += [node.lineno] if {"textwrap", "get_terminal_size", "escape", "rich"} & set(names) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.lineno] if MARKUP.search(node.value) or COLUMNS.search(node.value) else []
        elif isinstance(node, ast.Call) and LAYS_OUT.search(ast.unparse(node.func)):
            filled = [a.value for a in node.args if isinstance(a, ast.Constant) and not isinstance(a.value, int)]
            found += [] if filled else [node.lineno]  # bytes and digits are filled up, a text is laid out
        elif isinstance(node, ast.FormattedValue) and node.format_spec:
            found += [node.lineno] if re.search(r"[<>^][0-9{]", ast.unparse(node.format_spec)) else []
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_below_show_formats_for_a_person(path):
    if room_of(path) in BELOW_SHOW and path.relative_to(PACKAGE).as_posix() not in WRITES_COLUMNS:
        assert not formats(path), f"{path.name}: {formats(path)}: give a value, h5diag.show writes it"


# One way to write a range and a size: the range's own, and h5diag.text.
_TO = r" ?(?:to|\.\.|until|[-–]) ?"
_AN_ADDRESS = r"\0(?:08|#|#010)[xX]\0"
BY_HAND = re.compile(
    rf"{_AN_ADDRESS}{_TO}(?:0x)?{_AN_ADDRESS}|\0hex\0{_TO}\0hex\0|0x%0?8?[xX]{_TO}0x%|(?:\0|[0-9]|\{{\}}|%d) ?[KMG]B\b"
)
WRITES_RANGES = {"ranges.py", "text.py", "sim/virtual/faults.py", "sim/dryrun/run.py"}
"""The two that do it, the grammar of a fault, and the programmer's own words."""


def by_hand(path: Path) -> list[int]:
    """Return the lines that write an address range, or a size in KB for 1024, by hand."""
    tree, found = ast.parse(path.read_text("utf-8")), []
    inside = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in ast.walk(n) if part is not n}
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            for part in node.values:
                spec = ast.unparse(part.format_spec)[2:-1] if getattr(part, "format_spec", None) else ""
                spec = spec or "hex" * ast.unparse(part).startswith("{hex(")
                text += str(part.value) if isinstance(part, ast.Constant) else f"\0{spec}\0"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            text = node.value
        found += [node.lineno] if BY_HAND.search(text) else []
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_ranges_and_sizes_are_written_in_one_place(path):
    if path.relative_to(PACKAGE).as_posix() not in WRITES_RANGES:
        assert not by_hand(path), f"{path.name}: {by_hand(path)}: str(AddressRange), h5diag.text.size_text"


NOUNS = (
    "bytes pieces files sectors images slots bits words pages rounds findings checks steps boards calls areas options errors "
    "keys cycles quad-words dumps times regions rows entries records copies blocks segments"
)
COUNTED = re.compile(rf" (?:(?:whole|separate|different|full|erase|option) )?(?:{NOUNS.replace(' ', '|')})\b")


def counted_by_hand(path: Path) -> list[int]:
    """Return the lines that write a number and its noun in the plural, which is wrong for one."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr)
        for number, words in itertools.pairwise(node.values)
        if isinstance(number, ast.FormattedValue) and number.format_spec is None and isinstance(words, ast.Constant)
        if COUNTED.match(str(words.value)) and not re.fullmatch(r"[A-Z0-9_ >().-]+", ast.unparse(number.value))
    ]


COUNTS_MANY = {
    "errors.py": "the ground below text.py",
    "tables.py": "the ground beside text.py",
    "memory.py": "an array's shape",
    "measure/firmware/stages.py": "the word of a package",
    "show/locate.py": "digits in groups",
}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_count_is_written_with_its_noun_in_one_place(path):
    if path.relative_to(PACKAGE).as_posix() not in COUNTS_MANY:
        assert not counted_by_hand(path), f"{path.name}: {counted_by_hand(path)}: h5diag.text.count_text"


def test_the_rule_about_counts_finds_what_it_looks_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("f'{n} bytes'\nf'{len(a)} whole sectors'\nf'{n} bytesize'\nf'{MOST} files'\nf'{n:.1f} blocks'\n")
    assert counted_by_hand(bad) == [1, 2]


def test_no_table_of_the_package_writes_a_size_as_kilobytes():
    """But the cause that is called by the sizes that tools print."""
    for path in PACKAGE.rglob("*.toml"):
        lines = [line for line in path.read_text("utf-8").split("\n") if not line.startswith("#")]
        found = [line for line in lines if re.search(r"[0-9] ?[KMG]B\b", line.partition(" = ")[2])]
        assert [f for f in found if f != 'text = "1 MB taken for 2 MB or the like"'] == [], path.name


def test_the_rules_about_writing_for_a_person_find_what_they_look_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import textwrap\nfrom shutil import get_terminal_size\nx = '<td>'\ny = f'{a:<12}'\nz = '\\x1b[31m'\n"
        "f'0x{a:08X} to 0x{b:08X}'\nf'{a:08X}..{b:08X}'\nf'{n} KB'\n'up to 8 MB'\nf'{n} KiB'\nf'{a:08X} and {b}'\n"
        "f'0x{a:08X}-0x{b:08X}'\nf'{a:08X}-{n}.bin'\n"
        "f'{a:#x} to {b:#x}'\nf'{hex(a)}..{hex(b)}'\n'0x%08X-0x%08X' % (a, b)\n'{} KB'.format(n)\n'%d MB' % n\n"
        "f'{a:08x} until {b:08x}'\nf'{a} to {b}'\na.ljust(9)\n'%-12s' % a\n'{:<12}'.format(a)\nhtml.escape(a)\nb.ljust(9, b'x')\n"
    )
    assert sorted(formats(bad)) == [1, 2, 3, 4, 5, 21, 22, 23, 24]
    assert sorted(by_hand(bad)) == [6, 7, 8, 9, 12, 14, 15, 16, 17, 18, 19]


# A name stands for one thing.
ALIKE = {
    *(("app", n) for n in ("board", "evidence", "flashtest", "lab")),
    *(("measure", n) for n in ("meaning", "placement")),
    ("show", "locate"),
    *(("probe", "plan"), ("sim", "bus")),
}
"""Modules of one wing with one name: a command and its panel, a sheet and its picture; the list only shrinks."""


def named_twice(root: Path) -> dict[str, int]:
    """Return the names of public classes that several modules have, and how many do."""
    names = [
        node.name
        for path in root.rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    return {name: names.count(name) for name in names if names.count(name) > 1}


def test_a_class_name_stands_for_one_thing(tmp_path):
    assert named_twice(PACKAGE) == {}
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("class Same:\n    pass\nclass _Own:\n    pass\n")
    assert named_twice(tmp_path) == {"Same": 2}


def test_a_module_name_stands_for_one_thing_in_its_wing():
    seen = [(room_of(p), p.stem) for p in modules() if p.stem not in FREE]
    assert {name for name in seen if seen.count(name) > 1} == ALIKE


# What bounds a stranger's bytes stands in one table; what bounds a plot, a page or a search stands with it.
OUTSIDE = ("evidence", "layout", "case", "measure/firmware", "measure/loader", "sim/rehearse", "sim/dryrun")
BOUND = re.compile(r"^_?(?:MOST|LONGEST|LARGEST)(?:_[A-Z_]+)?(?:: \w+)? = ", re.MULTILINE)
OWN = {"case/intake/likeness.py", "measure/firmware/trailer.py", "measure/firmware/swap.py"}
"""How unlike two reads of one board may be, and two sizes of MCUboot's: no limits."""


def test_limits_on_strangers_bytes_stand_in_one_table():
    for path in modules():
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(OUTSIDE) and name not in OWN:
            assert not BOUND.findall(path.read_text("utf-8")), f"{name}: a limit belongs into limits.py"
    assert BOUND.findall("x = 1\n_MOST_LINES = 4\nLONGEST: int = 5\n") == ["_MOST_LINES = ", "LONGEST: int = "]


# The field's own words: a participle is no noun, and a word has one meaning.
NO_NAMES = re.compile(
    r"(?:^|_)(?:told|held|shown|made|taken|sides|free|settles?|joints?|borders|ways|bounded|opened|against|signs|judge)(?:_|$)"
)
CALLED_SO = {
    "evidence": "opened",  # a key of the document of ``h5diag log``
    "probe": "held signs",  # the word of a flash test's journal; what cells show
}
"""Names that such words still have, by wing: the list only shrinks."""


def names_of(path: Path) -> set[str]:
    """Return the names of a module, its classes, functions, parameters and fields."""
    names = {path.stem}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def misnamed(path: Path) -> set[str]:
    """Return the names in a module that are none of the field's."""
    return {n for n in names_of(path) if NO_NAMES.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", n).lower())}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_names_are_the_fields_own_words(path):
    assert misnamed(path) <= set(CALLED_SO.get(room_of(path), "").split())


def test_the_rule_about_names_finds_what_it_looks_for(tmp_path):
    bad = tmp_path / "bounded.py"
    bad.write_text(
        "class _Told:\n    def free(self, made):\n        pass\ndef takenover(freedom):\n    pass\nclass HeldBack: ...\n"
        "class A:\n    taken: int\nasync def f(*shown, **sides): ...\nlambda signs: 1\n"
    )
    assert misnamed(bad) == {*["bounded", "_Told", "free", "made", "HeldBack", "taken", "shown", "sides", "signs"]}


# `show/` opens and measures nothing: what it takes from below are values, and these few words for them.
SHOW_ASKS = {
    "h5diag.case.results": "to_document",
    "h5diag.evidence.door": "real_path write_whole",
    "h5diag.evidence.keys": "chain_breaks published",
    "h5diag.evidence.texts": "parse_registers printable",
    "h5diag.judge": "causes",
    "h5diag.judge.document": "diagnosis_document input_remarks",
    "h5diag.judge.findings": "rows",
    "h5diag.judge.next_test": "known_tests",
    "h5diag.judge.preflight.inventory": "end_of_file image_bytes",
    "h5diag.judge.weighing": "load_table",
    "h5diag.measure.firmware": "dependencies verify_image",
    "h5diag.measure.firmware.trailer": "parse_magic",
    "h5diag.measure.loader.placement": "ram_plan",
    "h5diag.measure.locate": "correlate",  # at the moment when its picture is looked at
    "h5diag.measure.options": "compare_options summary",
    "h5diag.sim.rehearse": "syntax_errors unchecked walk_script",
}
"""Functions of lower wings that `show/` calls, by module: the list only shrinks."""


def asked(path: Path) -> set[tuple[str, str]]:
    """Return (module, function) of what a module imports from the wings that open and measure."""
    return {
        (node.module, a.name)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.count(".")
        if node.module.split(".")[1] in FLOORS and 2 < FLOORS[node.module.split(".")[1]] < FLOORS["show"]
        for a in node.names
        if a.name[:1].islower()
    }


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) == "show"], ids=lambda p: p.stem)
def test_show_opens_and_measures_nothing(path):
    allowed = {(module, name) for module, names in SHOW_ASKS.items() for name in names.split()}
    assert asked(path) <= allowed


def test_the_rule_about_show_finds_what_it_looks_for(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from h5diag.evidence.door import read_evidence, EvidenceFile\nfrom h5diag.chip import load_chip\n"
        "def f():\n    from h5diag.measure.compare import compare\n"
    )
    assert asked(bad) == {("h5diag.evidence.door", "read_evidence"), ("h5diag.measure.compare", "compare")}


# "Not measured" is None, or an enum's own UNKNOWN; never both in one field, and no number stands for it.
def enums_with_unknown() -> dict[str, str]:
    """Return module and name of each enum that has a member for what is not known."""
    found = {}
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(s, ast.Assign) and any(getattr(t, "id", "") == "UNKNOWN" for t in s.targets)
                for s in node.body
            ):
                found[f"h5diag.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}.{node.name}"] = node.name
    return found


def unknowns(path: Path, enums: set[str]) -> tuple[list[int], list[int]]:
    """Return the lines of fields that may be None or UNKNOWN alike, and of those whose -1 stands for nothing."""
    both, numbers = [], []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    kinds = re.findall(r"(\w+) \| None", ast.unparse(field.annotation))
                    both += [field.lineno] if set(kinds) & enums else []
                    default = ast.unparse(field.value) if field.value else ""
                    numbers += [field.lineno] if default == "-1" else []
    return both, numbers


def test_what_is_not_known_is_said_in_one_way(tmp_path):
    enums = enums_with_unknown()
    for path in modules():
        name = path.relative_to(PACKAGE).as_posix()
        own = {
            f"{module}.{a.name}"
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom)
            for module in [node.module]
            for a in node.names
        }
        here = {
            short
            for full, short in enums.items()
            if full in own or full.startswith(f"h5diag.{name[:-3].replace('/', '.')}.")
        }
        both, numbers = unknowns(path, here)
        assert not both, f"{name}: {both}: None or UNKNOWN, not both"
        assert not numbers, f"{name}: {numbers}: None, where it was not read"
    bad = tmp_path / "bad.py"
    bad.write_text("class A:\n    a: Access | None = None\n    b: int = -1\n    c: int | None = None\n")
    assert unknowns(bad, {"Access"}) == ([2], [3])


# No test measures time: a loaded machine would fail it. Where patience is meant, a deadline of many seconds stops a
# test that would wait for ever.
CLOCKS = re.compile(
    r"perf_counter|process_time|thread_time|timeit|time\.time\(|assert [^\n]{0,40}monotonic\(\) ?-"
    r"|getrusage\(resource\.RUSAGE_(?:SELF|CHILDREN)\)\.ru_[us]time"
)


def test_no_test_measures_time():
    found = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path != Path(__file__) and CLOCKS.search(path.read_text("utf-8")):
            found.add(path.relative_to(ROOT).as_posix())
    assert not found
    assert CLOCKS.search("assert time.monotonic() - begun < 3")
    assert not CLOCKS.search("assert time.monotonic() < patience")


def test_import_is_quick_and_pulls_in_nothing_heavy():
    code = "import sys, h5diag, h5diag.app.cli; h5diag.app.cli.build_parser(); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in ast.literal_eval(out)}
    assert not loaded & {"pyocd", "matplotlib", "ipywidgets", "anywidget", "unicorn", "nbconvert", "pcpp"}


def test_environment_yml_names_the_same_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert "python=3.11" in conda
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}
    names = {"matplotlib-base": "matplotlib"}
    by_pip = {"tree-sitter", "tree-sitter-bash"}

    def split(requirement: str) -> tuple[str, str]:
        name, spec = re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", requirement).groups()
        return names.get(name, name), spec

    assert sorted(split(d) for d in conda if d.split("=")[0] not in ("python", "pip")) == sorted(
        split(d) for d in project["dependencies"] if split(d)[0] not in by_pip
    )


NEEDS = {
    r"\bbitwise_count\(": ("numpy", (2, 0)),
    r"\bget_figure\(root=": ("matplotlib", (3, 10)),
    r"\bipympl\b": ("ipympl", (0, 9, 4)),  # the first that goes with ipywidgets 8
}
"""What is called, and the version that has it first."""


@pytest.mark.parametrize("pattern", NEEDS)
def test_the_lowest_version_that_is_named_has_what_is_called(pattern):
    name, first = NEEDS[pattern]
    assert any(re.search(pattern, path.read_text("utf-8")) for path in modules()), "nothing calls it: take it out"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (floor,) = [r.split(">=")[1].split(",")[0] for r in project["dependencies"] if r.startswith(name + ">=")]
    assert tuple(map(int, floor.split("."))) >= first
    assert re.search(rf"(?m)^\| {name} \| {re.escape(floor)}", (ROOT / "docs" / "robustness.md").read_text("utf-8"))


def test_nothing_but_notebooks_is_shipped_with_them():
    """The folder goes into the wheel as it is: what a run left in it would, too."""
    listed = subprocess.run(
        ["git", "ls-files", "notebooks"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    assert [n for n in listed.splitlines() if not n.endswith(".ipynb")] == []


def test_notebooks_are_stored_bare():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        book = json.loads(path.read_text("utf-8"))
        assert "widgets" not in book["metadata"], path.name
        assert len(book["cells"]) <= 22, path.name
        for cell in book["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [], path.name
                assert cell["execution_count"] is None, path.name
                source = "".join(cell["source"])
                assert not re.search(r"^\s*(def|class) ", source, re.MULTILINE), f"{path.name}: {source[:60]}"


def test_the_project_speaks_of_itself_only():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [name for name in listed.split("\0") if name]
    pattern = re.compile(
        r"(?<![\w.])/(?:work|root|home/(?!ada/)\w+|tmp/\w+)/"
        r"|py"
        r"pi\.org|regis"
        r"try\.npmjs|conda\.anaconda"
    )
    for name in files:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".yml", ".ipynb", ".js", ".css", ".html", ".c", ".h", ".ld", ""}
            and path.is_file()
        ):
            found = pattern.search(path.read_text("utf-8", "replace"))
            assert not found, f"{name}: {found and found[0]}"


def test_ruff_and_mypy_are_clean():
    trees = ["h5diag", "tests", "benchmarks", "data", "docs"]
    for command in (["ruff", "check", *trees], ["ruff", "format", "--check", *trees], ["mypy"]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_tables_hold_what_the_toml_files_hold():
    from h5diag.tables import make_tables

    kept = (PACKAGE / "tables.json").read_bytes()
    assert kept == make_tables(), "run `make index`"
    tables = json.loads(kept)
    sources = {p.relative_to(PACKAGE).as_posix(): p for p in PACKAGE.rglob("*.toml")}
    assert set(sources) - set(tables) == {p for p in sources if p.startswith("chip/devices/")}
    for path, entry in tables.items():
        assert entry["table"] == tomllib.loads(sources[path].read_text("utf-8")), path


def test_a_table_that_was_changed_since_is_read_itself(monkeypatch):
    from h5diag import tables

    assert tables.packaged("judge/causes.toml")
    old = tables.packaged_bytes
    monkeypatch.setattr(tables, "packaged_bytes", lambda path: b"a = 1\n" if path.endswith(".toml") else old(path))
    assert tables.packaged("judge/causes.toml") == {"a": 1}
    assert tables.packaged("no/such.toml") == {"a": 1}
