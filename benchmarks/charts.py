"""Draws what a benchmark measured as a file that a person likes to look at; must not measure or judge anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLOURS: Final = ("#0b6e99", "#d9822b", "#6a7f3f", "#9b4f96", "#5c5c5c")
"""Ours first, the peer second: blue and orange are told apart by everybody and in print."""

SIZE_IN: Final = (8.0, 4.2)
"""Wide enough for a page's text width, flat enough to stand between two paragraphs."""

Points = Sequence[tuple[float, float]]


def bars(path: Path, title: str, groups: Mapping[str, Mapping[str, float]], *, unit: str, note: str) -> None:
    """Bars side by side: for each group (a case) a bar for each name, with its value on it."""
    canvas, axes = _canvas(title, note)
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    width = 0.8 / max(1, len(names))
    for index, name in enumerate(names):
        at = [number + (index - (len(names) - 1) / 2) * width for number in range(len(groups))]
        values = [group.get(name, 0.0) for group in groups.values()]
        drawn = axes.bar(at, values, width * 0.92, label=name, color=COLOURS[index % len(COLOURS)])
        axes.bar_label(drawn, labels=[_short(value) for value in values], padding=2, fontsize=8, color="#333333")
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(unit)
    axes.margins(y=0.15)
    _finish(canvas, axes, path)


def lines(path: Path, title: str, series: Mapping[str, Points], *, x: str, y: str, note: str) -> None:
    """Lines over one axis, from zero up."""
    canvas, axes = _canvas(title, note)
    for index, (name, points) in enumerate(series.items()):
        xs, ys = [each[0] for each in points], [each[1] for each in points]
        axes.plot(
            xs,
            ys,
            label=name,
            color=COLOURS[index % len(COLOURS)],
            linewidth=1.8,
            marker="o" if len(points) < 20 else "",
            markersize=3,
        )
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    _finish(canvas, axes, path)


def _canvas(title: str, note: str) -> "tuple[Canvas, Any]":
    import matplotlib as mpl  # here, so that a measured process does not carry it
    from matplotlib.figure import Figure as Canvas

    mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "tidegate", "font.family": "DejaVu Sans"})
    canvas = Canvas(figsize=SIZE_IN, layout="constrained", facecolor="white")
    axes = canvas.subplots()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    canvas.supxlabel(note, x=0.01, ha="left", fontsize=6.5, color="#777777")
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    return canvas, axes


def _finish(canvas: "Canvas", axes: Any, path: Path) -> None:
    """Name what is drawn and write the file; the same figures make the same bytes."""
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(frameon=False, fontsize=8, loc="best")
    canvas.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _short(value: float) -> str:
    """A number as a label: 12,300 or 0.25."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
