"""A probe server that lies, drips or never stops, and a client that does: one clear line, bounded memory and time."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from h5diag.errors import ProbeError
from h5diag.probe.board import connect, identify, probes
from h5diag.sim.virtual import VirtualChip, parse_items, probe as server_module
from h5diag.sim.virtual.probe import ChipServer

Lie = Callable[[dict, dict], object]


@contextmanager
def lying(lie: Lie) -> Iterator[str]:
    """Stand between a client and a sound server; `lie` gets question and true answer and returns what is passed on."""
    with ChipServer(VirtualChip(parse_items(["board=sound"]))) as true, socket.socket() as ears:
        ears.bind(("127.0.0.1", 0))
        ears.listen()

        def between() -> None:
            with suppress(OSError, ValueError):
                client, _ = ears.accept()
                with client, socket.create_connection(("127.0.0.1", true.port)) as there:
                    asked, answers = client.makefile("rb"), there.makefile("rb")
                    for line in asked:
                        there.sendall(line)
                        said = lie(json.loads(line), json.loads(answers.readline()))
                        if said is None:
                            return
                        client.sendall(said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n")

        thread = threading.Thread(target=between, daemon=True)
        thread.start()
        yield f"remote:127.0.0.1:{ears.getsockname()[1]}"


def when(request: str, change: Callable[[dict], object]) -> Lie:
    return lambda question, answer: change(answer) if question["request"] == request else answer


LIES: dict[str, Lie] = {
    "one word too many": when("read_ap_multiple", lambda a: a | {"result": [*a.get("result", []), 0]}),
    "one word too few": when("read_ap_multiple", lambda a: a | {"result": a.get("result", [])[:-1]}),
    "words that are texts": when("read_ap_multiple", lambda a: a | {"result": list(map(str, a.get("result", [])))}),
    "words that are too large": when(
        "read_ap_multiple", lambda a: a | {"result": [1 << 40 for _ in a.get("result", [])]}
    ),
    "words below zero": when("read_ap", lambda a: a | {"result": -1}),
    "a word that is true": when("read_dp", lambda a: a | {"result": True}),
    "a word that is none": when("read_dp", lambda a: a | {"result": None}),
    "another question's answer": lambda q, a: a | {"id": q["id"] - 1} if q["request"] == "read_ap" else a,
    "no id": when("read_ap", lambda a: {"status": 0}),
    "a status that is a text": when("read_ap", lambda a: a | {"status": "fine"}),
    "a status that is a list": when("read_ap", lambda a: a | {"status": [0]}),
    "an unknown status": when("read_ap", lambda a: a | {"status": 999, "error": "x" * 100_000}),
    "a list for an answer": when("connect", lambda a: [a]),
    "no JSON": when("connect", lambda a: b"hello\n"),
    "no UTF-8": when("connect", lambda a: b"\xff\xfe\n"),
    "brackets without end": when("connect", lambda a: b"[" * 200_000 + b"\n"),
    "a number of many digits": when("read_ap", lambda a: b'{"id": 1, "status": ' + b"9" * 5000 + b"}\n"),
    "an unknown capability": when("readprop", lambda a: a | {"result": ["TELEPATHY"]}),
    "a property that is an object": when("readprop", lambda a: a | {"result": {"a": 1}}),
    "the end": when("connect", lambda a: None),
}


def talk(place: str) -> None:
    with connect(place) as board:
        identify(board)
        board.read(0x08000000, 0x08000400)


@pytest.mark.parametrize("name", LIES)
def test_a_lying_server_is_one_clear_line(name: str) -> None:
    with lying(LIES[name]) as place, pytest.raises(ProbeError) as caught:
        talk(place)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_without_a_lie_the_same_way_works() -> None:
    with lying(lambda question, answer: answer) as place, connect(place) as board:
        assert identify(board).dev_id == 0x484
        assert board.read(0x08000000, 0x08000400).size == 0x400


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "LONGEST_ANSWER", 1 << 16)
    lie = when("connect", lambda a: b"x" * (1 << 18))
    with lying(lie) as place, pytest.raises(ProbeError):
        talk(place)


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs over the whole answer, not from byte to byte."""
    now = [0.0]

    def later() -> float:
        now[0] += 5.0
        return now[0]

    monkeypatch.setattr(probes.time, "monotonic", later)
    with lying(when("connect", lambda a: b'{"id"')) as place, pytest.raises(ProbeError):
        talk(place)


@pytest.mark.parametrize(
    "question",
    [
        b"x" * (1 << 17) + b"\n",
        b"[]\n",
        b"\xff\n",
        b'{"id": 1, "request": "read_ap_multiple", "arguments": ["a", {}]}\n',
        b'{"id": [], "request": "hello", "arguments": [1]}\n',
        b'{"id": 1, "request": ["hello"]}\n',
        b"[" * 100_000 + b"\n",
        b'{"id": 1, "request": "unlock"}\n',
    ],
)
def test_a_client_that_talks_nonsense_does_not_disturb_the_next_one(
    question: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module, "LONGEST_QUESTION", 1 << 16)
    with ChipServer(VirtualChip(parse_items(["board=sound"]))) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client, suppress(OSError):
            client.sendall(question)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
        with connect(f"remote:127.0.0.1:{server.port}") as board:
            assert identify(board).dev_id == 0x484
    assert "Traceback" not in capfd.readouterr().err


def test_a_question_without_end_is_given_up_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client keeps its line open: a server that waits for the end of it would keep all of it meanwhile."""
    monkeypatch.setattr(server_module, "LONGEST_QUESTION", 1 << 16)
    with (
        ChipServer(VirtualChip(parse_items(["board=sound"]))) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as client,
    ):
        with suppress(ConnectionError):
            client.sendall(b"x" * (1 << 17))
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
