"""Sessions recorded and replayed, at both levels."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from h5diag.errors import InputError, ProbeError, TargetError
from h5diag.memory import AddressRange
from h5diag.probe.acquire import DumpPlan, dump
from h5diag.probe.board import connect, core_state, identify

from .support import SMALL


def session(name, **more):
    """What a user would do: identify, look at the core, dump with a fault in the way."""
    with connect(name, **more) as board:
        who, core = identify(board), core_state(board)
        done = dump(board, DumpPlan(SMALL, chunk=0x4000))
        with pytest.raises(TargetError):
            board.read_word(0x60000000)
        return who, core, done.image, done.passes


ITEMS = "unstable@0x08040000-0x08040100+bus-fault@0x08040800-0x08040808"


def test_a_replay_gives_what_was_recorded_and_needs_no_chip(tmp_path, link):
    path = str(tmp_path / "session.jsonl")
    recorded = session(f"virtual:{ITEMS}+link={link}", record=path)
    assert session(f"replay:{path}") == recorded
    assert recorded[2].unreadable
    assert recorded[2].unstable
    head = json.loads(Path(path).read_text("utf-8").splitlines()[0])
    assert head["kind"] == "h5diag session 1"


def test_another_command_than_the_recorded_one_is_refused(tmp_path):
    path = str(tmp_path / "session.jsonl")
    with connect("virtual", record=path) as board:
        board.read(0x08000000, 0x08000100)
    with connect(f"replay:{path}") as board, pytest.raises(ProbeError, match="line"):
        board.read(0x08000000, 0x08000200)
    with connect(f"replay:{path}") as board:
        board.read(0x08000000, 0x08000100)


def test_an_unplugged_session_replays_as_one(tmp_path):
    path = str(tmp_path / "session.jsonl")
    where = AddressRange(0x08000000, 0x08010000)
    for name in ("virtual:unplug,after=30000", f"replay:{path}"):
        record = path if name.startswith("virtual") else ""
        with connect(name, record=record) as board, pytest.raises(ProbeError, match="unplugged"):
            dump(board, DumpPlan(where, chunk=0x4000))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}\n",
        "junk\n",
        '{"kind":"h5diag session 1"}\nxx\n',
        '{"kind":"h5diag session 1"}\n[1]\n',
        '{"kind":"h5diag session 1"}\n["open",[],null,null]\n',
        '{"kind":"h5diag session 1"}\n["open",[],null,[[],"",0]]\n',
        '{"kind":"h5diag session 1"}\n' + "[" * 100_000 + "\n",
        '{"kind":"h5diag session 1"}\n["open",[],' + "9" * 5000 + "]\n",
        '{"kind":"other"}\n',
    ],
)
def test_files_that_are_no_session(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(InputError):
        connect(f"replay:{path}")


@pytest.mark.parametrize("result", ["[]", "{}", '{"words": 1}', '{"words": "zz"}', '"text"', "true", "-1"])
def test_a_damaged_answer_is_one_clear_error(tmp_path, result):
    path = tmp_path / "session.jsonl"
    with connect("virtual", record=str(path)) as board:
        identify(board)
    lines = path.read_text().splitlines()
    for number in range(2, len(lines), 41):
        entry = json.loads(lines[number])
        damaged = [*lines[:number], json.dumps([*entry[:2], json.loads(result)]), *lines[number + 1 :]]
        path.write_text("\n".join(damaged))
        with suppress(ProbeError, InputError, TargetError), connect(f"replay:{path}") as board:
            identify(board)


def test_a_truncated_session_ends_in_a_clear_error(tmp_path):
    path = tmp_path / "session.jsonl"
    with connect("virtual", record=str(path)) as board:
        identify(board)
    lines = path.read_text().splitlines(keepends=True)
    for keep in range(3, len(lines), 37):
        path.write_text("".join(lines[:keep]))
        with pytest.raises((ProbeError, InputError)):  # noqa: PT012 - any step may be the one that ends
            with connect(f"replay:{path}") as board:
                identify(board)
            raise ProbeError("the session was whole as far as the command went")
