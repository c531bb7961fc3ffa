"""Draw the rows of one run: ratios to the peers on one side, how cost grows on the other; with the versions below."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.versions import versions


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the picture."""
    ratios = [row for row in rows if isinstance(row["ratio"], float | int)]
    series = [row for row in rows if "series" in row]
    figure = Figure(figsize=(14, 1.5 + 0.34 * max(len(ratios), 14)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    bars = left.barh([row["name"] for row in ratios], [row["ratio"] for row in ratios], color="#3b6ea5")
    left.bar_label(bars, [f"{row['ratio']:.3g}" for row in ratios], padding=3)
    left.set(xscale="log", xlabel="ratio to the named peer, above 1 in our favour")
    left.axvline(1.0, color="black", linewidth=0.8)
    left.invert_yaxis()
    for row in series:
        if row["series_unit"] == "ms":
            sizes, costs = zip(*row["series"], strict=True)
            right.plot(
                [size / sizes[0] for size in sizes],
                [cost / costs[0] for cost in costs],
                marker="o",
                label=f"{row['name']}: exponent {row['ours']:.2g}",
            )
    right.set(xscale="log", yscale="log", xlabel="size, over the smallest", ylabel="processor time, over that of the smallest")
    if series:
        right.legend(fontsize="small")
    figure.supxlabel(", ".join(f"{name} {number}" for name, number in versions().items()), fontsize="small")
    figure.savefig(path, dpi=110)
