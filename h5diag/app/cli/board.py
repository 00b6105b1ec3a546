"""``h5diag probes``, ``info``, ``dump`` and ``virtual``: the commands that talk to a chip, or are one."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from operator import methodcaller
from typing import TYPE_CHECKING

import h5diag as h5
from h5diag.app.cli.command import Argument, Command, Result, address_range, argument, number, progress_bar, result_of
from h5diag.errors import InputError
from h5diag.show import printing

if TYPE_CHECKING:
    from h5diag.memory import Access
    from h5diag.probe.acquire import DumpPlan
    from h5diag.probe.bench import BenchBoard

ACCESS = ("auto", "secure", "nonsecure")


def access_of(options: Namespace) -> Access:
    """Return the security attribute of reads that was asked for."""
    from h5diag.memory import Access

    return Access.UNKNOWN if options.access == "auto" else Access(options.access)


def _hertz(text: str) -> int:
    units = {"khz": 1_000, "mhz": 1_000_000, "hz": 1, "k": 1_000, "m": 1_000_000}
    word = text.strip().lower().replace("_", "")
    unit = next((u for u in units if word.endswith(u)), "")
    try:
        value = int(float(word.removesuffix(unit)) * units.get(unit, 1))
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a speed; write 4000000, 4M or 4MHz") from None
    if not 1_000 <= value <= 100_000_000:
        raise ArgumentTypeError(f"{text!r} is no SWD speed; use 1k to 100M")
    return value


_LINK_ARGUMENTS: tuple[Argument, ...] = (
    argument(
        "--probe",
        default="auto",
        metavar="P",
        help="auto, the begin of a probe's id, remote:HOST:PORT, virtual[:ITEM+ITEM], replay:FILE",
    ),
    argument(
        "--connect",
        choices=("attach", "halt", "under-reset"),
        default="attach",
        help="attach (default): no reset, no halt; halt: stops the core; under-reset: resets the chip",
    ),
    argument("--speed", type=_hertz, default=0, metavar="HZ", help="SWD speed (default 4M)"),
    argument(
        "--access",
        choices=ACCESS,
        default="auto",
        help="security attribute of reads (default: by the alias, 0x0C.. secure, 0x08.. non-secure)",
    ),
    argument("--chip", default="", metavar="NAME", help="chip file (default stm32h563zi)"),
    argument("--record", default="", metavar="FILE", help="record the session, so that it can be replayed"),
)


def _connect(options: Namespace) -> BenchBoard:
    return h5.connect(
        options.probe,
        mode=options.connect,
        chip=options.chip,
        access=None if options.access == "auto" else options.access,
        speed_hz=options.speed,
        record=options.record,
    )


# ---------------------------------------------------------------------------------------------------- probes
def _probes(options: Namespace) -> Result:
    found = h5.probes(ask=True)
    rows = [
        {
            "id": p.unique_id,
            "description": p.description,
            "problem": p.problem or None,
            "firmware": p.firmware,
            "supply_mv": p.supply_mv,
        }
        for p in found
    ]
    lines = []
    for p in found:
        supply = f", supply of the target {p.supply_mv} mV" if p.supply_mv is not None else ""
        told = f", firmware {p.firmware}" if p.firmware else ""
        lines.append(
            f"{p.unique_id or '(no id)'}  {p.description}{told}{supply}{'  ' + p.problem if p.problem else ''}"
        )
    return Result({"probes": rows}, "\n".join(lines) or "no debug probe is plugged in")


# ---------------------------------------------------------------------------------------------------- info
_INFO_ARGUMENTS: tuple[Argument, ...] = (
    *_LINK_ARGUMENTS,
    argument("--layout", default="", metavar="L", help="names slots: a preset or a flash_layout.h"),
    argument("--elf", default="", metavar="FILE", help="names functions, an error handler for example"),
    argument(
        "--halt",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="allow the core to be halted this long when it gives no samples while it runs",
    ),
)


def _info(options: Namespace) -> Result:
    from h5diag.probe.board import Permissions, read_symbols

    layout = h5.load_layout(options.layout) if options.layout else None
    symbols = read_symbols(options.elf) if options.elf else ()
    with _connect(options) as board:
        if options.halt > 0:
            board.permissions = Permissions(halt=True)
        who = board.identify(halt_s=options.halt, layout=layout, symbols=symbols)
    return result_of(who)


# ---------------------------------------------------------------------------------------------------- dump
_DUMP_ARGUMENTS: tuple[Argument, ...] = (
    *_LINK_ARGUMENTS,
    argument("--out", default="", metavar="FILE", help=".bin, .hex, .srec or .elf; FILE.map.json beside it"),
    argument(
        "--range",
        type=address_range,
        default=None,
        metavar="A:B",
        help="addresses, B not included (default: the whole user flash, 0x08..)",
    ),
    argument("--passes", type=number, default=2, metavar="N", help="read everything N times at least"),
    argument("--resume", action="store_true", help="go on with a dump that was interrupted (it does so by itself)"),
    argument("--force", action="store_true", help="replace a dump of this chip; another chip's is never replaced"),
    argument("--sweep", action="store_true", help="compare link speeds afterwards"),
    argument("--both", action="store_true", help="dump the other alias of the flash too, to FILE-secure"),
    argument("--chunk", type=number, default=0x8000, metavar="BYTES", help="bytes per read, 16 to 64 KiB"),
    argument("--plan", action="store_true", help="touch nothing, tell time and limits"),
)


def _plans(options: Namespace) -> list[tuple[DumpPlan, str]]:
    from dataclasses import replace
    from pathlib import Path

    from h5diag.memory import Access, AddressRange
    from h5diag.probe.acquire import DumpPlan

    chip = h5.load_chip(options.chip)
    where = AddressRange(*options.range) if options.range else chip.flash_range
    plans = [(DumpPlan(where, passes=options.passes, chunk=options.chunk, access=access_of(options)), options.out)]
    if options.both:
        if chip.canonical(where.start) not in chip.flash_range or chip.canonical(where.start) != where.start:
            raise InputError(f"--both needs a range in {chip.flash_range}, not {where}")
        out = Path(options.out)
        secure = AddressRange(chip.secure_alias(where.start), chip.secure_alias(where.start) + where.size)
        other = str(out.parent / f"{out.stem}-secure{out.suffix}") if options.out else ""
        plans = [
            (replace(plans[0][0], access=Access.NONSECURE), options.out),
            (replace(plans[0][0], range=secure, access=Access.SECURE), other),
        ]
    return plans


def _dump(options: Namespace) -> Result:
    from dataclasses import replace

    from h5diag.probe.acquire import dump, sweep
    from h5diag.show.sheet import joined
    from h5diag.show.view import view_of

    plans = _plans(options)
    if options.plan:
        return _plan_result(plans, options)
    if not options.out:
        raise InputError("no file to write", advice="name one with --out, or use --plan")
    documents, texts = [], []
    with _connect(options) as board:
        for plan, path in plans:
            with progress_bar("dump", lambda: board.moved) as progress:
                done = dump(board, plan, path=path, force=options.force, progress=progress)
            if options.sweep:
                with progress_bar("sweep", lambda: board.moved) as progress:
                    done = replace(done, sweep=sweep(board, done, progress=progress))
            documents.append(done.to_dict() | {"range": [plan.range.start, plan.range.stop], "map": f"{path}.map.json"})
            texts.append(view_of(done).sheet(done))
    secure = {"secure": documents[1]} if len(documents) > 1 else {}
    return Result(
        documents[0] | secure,
        joined([replace(t, name=t.name or f"dump {n}") for n, t in enumerate(texts, 1)]) if secure else texts[0],
    )


def _plan_result(plans: list[tuple[DumpPlan, str]], options: Namespace) -> Result:
    from h5diag.chip import choose_chip
    from h5diag.probe.board import DEFAULT_HZ, REASONS, ConnectMode
    from h5diag.show.board import plan_sheet
    from h5diag.text import size_text

    speed = options.speed or DEFAULT_HZ
    minutes = sum(p.seconds(speed) for p, _ in plans) / 60
    mode = ConnectMode(options.connect)
    reason = dict(REASONS)[mode]
    cannot = [
        "hidden (HDP) sectors and those of the other security attribute read as zeros",
        "errors of the chip that repeat in every pass look like data",
    ]
    lost = ["nothing"] if mode is not ConnectMode.UNDER_RESET else ["what the program holds in RAM"]
    total = sum(p.range.size * p.passes for p, _ in plans)
    choice = choose_chip(given=options.chip)
    document = choice.to_dict() | {
        "minutes": minutes,
        "erase_cycles": 0,
        "lost": lost,
        "cannot_be_tested": cannot,
        "bytes": total,
        "connect": mode.value,
        "connect_does": reason,
        "ranges": [[p.range.start, p.range.stop] for p, _ in plans],
        "passes": options.passes,
    }
    properties = [
        ("chip", choice.text),
        *(("range", str(p.range)) for p, _ in plans),
        ("connect", f"{mode.value}: {reason}"),
        ("lost", ", ".join(lost)),
        *(("limit", c) for c in cannot),
    ]
    headline = f"about {minutes:.1f} minutes at {speed / 1e6:g} MHz for {size_text(total)}; erases nothing"
    return Result(document, plan_sheet(headline, properties))


# ---------------------------------------------------------------------------------------------------- virtual
_VIRTUAL_ARGUMENTS: tuple[Argument, ...] = (
    argument("--port", type=number, default=5555, metavar="N", help="TCP port, 0 for a free one"),
    argument(
        "--fault",
        action="append",
        default=[],
        metavar="ITEM",
        help="board=..., seed=N, state=FILE or FAULT[@START-STOP][,key=value]...; may be repeated",
    ),
)


def _virtual(options: Namespace) -> Result:
    from h5diag.sim.virtual import VirtualChip, parse_items
    from h5diag.sim.virtual.probe import ChipServer, serve_until_signal

    if not 0 <= options.port < 65536:
        raise InputError(f"{options.port} is no TCP port", advice="use 0 to 65535")
    setup = parse_items(options.fault)
    with ChipServer(VirtualChip(setup), options.port) as server:
        name = f"remote:localhost:{server.port}"

        def announce() -> None:
            say = printing.remark if options.json else lambda text: printing.write(text + "\n")
            say(f"serving a virtual STM32H563 as {name}; end with Ctrl-C")

        reason = serve_until_signal(server, announce)
    return Result({"port": server.port, "probe": name, "faults": [str(f) for f in setup.faults], "ended": reason}, "")


# ---------------------------------------------------------------------------------------------------- selfcheck
_SELFCHECK_ARGUMENTS: tuple[Argument, ...] = (
    argument("--probe", default="auto", metavar="P", help="as for info"),
    argument("--chip", default="", metavar="NAME", help="chip file (default stm32h563zi)"),
    argument("--speed", type=_hertz, default=0, metavar="HZ", help="SWD speed (default 4M)"),
    argument(
        "--record",
        default="",
        metavar="FILE",
        help="write a recording of the session to send in: flash contents, UID and serial number are replaced",
    ),
    methodcaller("set_defaults", connect="attach", access="auto"),
)


def _selfcheck(options: Namespace) -> Result:
    from h5diag.probe.selfcheck import selfcheck
    from h5diag.show.board import selfcheck_sheet
    from h5diag.sim.virtual.record import redact_recording

    private: frozenset[int] | None = None
    try:
        with _connect(options) as board, progress_bar("selfcheck", lambda: board.moved) as progress:
            rows, private = selfcheck(board, progress=progress)
    finally:
        if options.record and private is None:
            from pathlib import Path

            Path(options.record).unlink(missing_ok=True)  # what is not redacted is not kept
    if options.record and private is not None:
        redact_recording(options.record, private)
    agrees = all(r.agrees is not False for r in rows)
    document = {"rows": [r.to_dict() for r in rows], "agrees": agrees, "record": options.record or None}
    return Result(document, selfcheck_sheet(rows, options.record))


COMMANDS = (
    Command("probes", "list the debug probes that are plugged in", run=_probes, examples=("h5diag probes",)),
    Command(
        "info",
        "identify the connected chip: identity, state, options, and where its core is",
        _INFO_ARGUMENTS,
        _info,
        examples=("h5diag info --probe auto", "h5diag info --probe virtual:board=founding --json"),
    ),
    Command(
        "dump",
        "read memory to a file, several times, with a map of what could not be read or disagreed",
        _DUMP_ARGUMENTS,
        _dump,
        examples=(
            "h5diag dump --probe auto --out board.bin",
            "h5diag dump --probe auto --range 0x0C000000:0x0C200000 --out secure.hex --resume",
        ),
    ),
    Command(
        "selfcheck",
        "read-only: every assumption about this probe and chip against what is connected",
        _SELFCHECK_ARGUMENTS,
        _selfcheck,
        examples=("h5diag selfcheck --probe auto --record selfcheck.rec",),
    ),
    Command(
        "virtual",
        "serve a virtual STM32H563 over TCP to any pyOCD client; a served chip executes nothing",
        _VIRTUAL_ARGUMENTS,
        _virtual,
        examples=("h5diag virtual --port 5555 --fault board=founding",),
    ),
)
