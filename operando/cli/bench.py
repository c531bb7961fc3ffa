"""``operando bench``: figures beside named peers, measured in one run on this machine."""

import json
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from operando.errors import MissingInputError, OutputError

MODULES = ("integration", "stream", "reconstruction", "volume", "latency", "refinement", "growth", "viewer", "twin", "gpu")

Rows = list[dict[str, Any]]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(bench)
    app.command(hidden=True)(warm)


def bench(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows and the versions here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them here, with the versions (PNG, PDF or SVG).")] = None,
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join(MODULES)}.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Fewer repetitions, smaller volumes: some six minutes.")] = False,
) -> None:
    """Measure speed beside named peers on the same data in the same run; ratios above 1 are in our favour."""
    if only is not None and only not in MODULES:
        raise MissingInputError(f"no benchmark {only!r}: choose one of {', '.join(MODULES)}")
    root = Path(__file__).parents[2]
    if not (root / "benchmarks").is_dir():
        raise MissingInputError("the benchmarks are not part of the installed package: run this in a checkout of operando")
    sys.path.insert(0, str(root))
    if only is not None:
        rows, failed = _measured(only, short=short), list[str]()
    else:
        rows, failed = _measured_apart(Console(stderr=True), short=short)
    if json_file is not None:
        measured = {"versions": import_module("benchmarks.versions").versions(), "rows": rows, "not_measured": failed}
        json_file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if plot is not None:
        import_module("benchmarks.plot").draw(rows, plot)
    Console().print(_table(rows))
    if failed:
        raise OutputError(f"not measured: {', '.join(failed)}; run each with --only to see why")


def _measured(name: str, *, short: bool) -> Rows:
    module = import_module(f"benchmarks.{name}")
    rows: Rows = module.rows(**(module.SHORT if short else {}))
    return rows


def _measured_apart(console: Console, *, short: bool) -> tuple[Rows, list[str]]:
    """Measure every module in a process of its own, so that none meets another's memory and threads, or ends with it."""
    rows: Rows = []
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODULES:
            begin, path = perf_counter(), Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", "operando", "bench", "--only", name, "--json", str(path), *["--short"] * short]
            console.print(f"measuring {name}")
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
            if path.is_file():
                rows += json.loads(path.read_text(encoding="utf-8"))["rows"]
            else:
                failed.append(name)
            console.print(f"  {perf_counter() - begin:.0f} s")
    return rows, failed


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table("what", "ours", "peer", "unit", "ratio", "peer's name", "device")
    for row in rows:
        numbers = [f"{row[key]:.4g}" if isinstance(row[key], float | int) else "-" for key in ("ours", "peer", "ratio")]
        table.add_row(
            str(row["name"]), numbers[0], numbers[1], str(row["unit"]), numbers[2], str(row["peer_name"]), str(row["device"])
        )
    return table


def warm() -> None:
    """Compile the kernels into their cache, so that no run waits for it."""
    for module in (
        "streaming.reduction",
        "streaming.tomogram",
        "streaming.refine.job",
        "acquisition.twin.render",
        "acquisition.twin.scene",
    ):
        import_module(module)
