"""Write `hosts.md` and its picture from `hosts.json`, of the benchmark.

make bench-hosts ARGS=--markdown
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tests.bench.picture import draw_ratio_axis, small_png

PAGE = Path(__file__).with_name("hosts.md")
PICTURE = PAGE.with_suffix(".png")
FIGURES = PAGE.with_suffix(".json")

# Hosts by the order of columns, with their titles.
HOSTS = {"chonkle": "chonkle", "zarrs": "zarrs", "node": "node", "chromium": "Chromium"}
COLOURS = {"zarrs": "#d95f0e", "node": "#41ab5d", "chromium": "#08519c"}
CASES = {
    "zlib": "zlib",
    "shuffle-zlib": "shuffle + zlib",
    "gzip": "gzip",
    "zstd": "zstd",
    "blosc-lz4": "blosc-lz4",
}
TICKS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8)
# A ratio that is this much of what is wanted is reached.
REACHED = 0.9
ERROR_CHARACTERS_MAX = 80

HEAD = """# Other hosts

[make_hosts.py](make_hosts.py) writes this page; do not edit it. `make bench-hosts ARGS=--markdown`
measures again.

The codecs of this repository run outside of Python too, the same files, byte for byte.
[The hosts](../examples/hosts/README.md) are zarrs, a library for Zarr arrays in Rust, and zarrita,
in node and in Chromium. [Embed codecs in another host](../guides/embed-in-another-host.md) says how
to write one.

## Golden vectors for any host

`chonkle vectors export codec --codec-src codec-src --output vectors.jsonl` writes the golden
vectors of all codecs into one file in ASCII, with a JSON object in each line:

| field | value |
|---|---|
| `codec_id`, `case` | the codec, and the name of the golden vector |
| `made_by` | the independent implementation that made it |
| `module` | the core module: its path in the codec store, with `/` |
| `sha256` | the SHA-256 digest of the core module, in hexadecimal |
| `direction` | `decode` or `encode`: the function to call |
| `inputs` | object of the input ports of the call: their bytes in base64 |
| `outputs` | object of the output ports that it must give: exactly these ports and bytes |
| `then` | instead of `outputs`, where other bytes are right too: object of `inputs`, `outputs` |

With `then`, the outputs of the call and the `inputs` in `then` go through the other direction,
which must give exactly the `outputs` in `then`:

```json
{"codec_id": "zlib", "case": "fixed-codes", "made_by": "zlib 1.2.13 of Python 3.13.0",
 "module": "zlib/zlib-rs@1.0.0.core.wasm", "sha256": "...",
 "direction": "encode", "inputs": {"bytes": "Y2hvbmtsZSBjaG9ua2xl"},
 "then": {"inputs": {}, "outputs": {"bytes": "Y2hvbmtsZSBjaG9ua2xl"}}}
```

A port of another type than `bytes` holds the JSON text of its value. Lines are sorted by codec,
case and direction, and equal codecs give an equal file. The command names what it leaves out: what
a lossy codec does not restore, and what can be decoded but not encoded. Calls that must be refused
are not in the file.

A host passes a line if its own calls of the module give these bytes, after it compared the digest.

## Conformance

Lines of this file that pass, of all. The column chonkle is its own [core](core-abi.md) backend.
"""
SPEED = """
## Speed

A float32 array of {mib} MiB, air pressures over real elevations in square chunks, is read whole, on
one thread: with the host's own codecs and with chonkle's, in turn. zarrs' own codecs are native
code; those of zarrita are JavaScript, or WebAssembly of others.

![The speed of chonkle's codecs, as a multiple of the host's own](hosts.png)

Times as fast as the host's own codecs, and MiB a second:
"""
TARGETS = """
### Targets

Measured ratio / wanted ratio; a ratio within 10 % of what is wanted is reached, and others are
bold.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int) -> str:
    """Lay out a Markdown table; the first columns are texts, and figures follow."""
    rule = "|".join(["---"] * texts + ["---:"] * (len(header) - texts))
    lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
    lines.insert(1, f"|{rule}|")
    return "\n" + "\n".join(lines) + "\n"


def passed_words(row: Mapping[str, Any] | None) -> str:
    """Say how many golden vectors passed, and why another did not."""
    if row is None:
        return "not run"
    words = f"{row['passed']} of {row['total']}"
    if row["failures"]:
        first = row["failures"][0]
        error = str(first["error"])[:ERROR_CHARACTERS_MAX].replace("|", "\\|")
        words += f": {first['case']}, {first['direction']}: {error}"
    return words


def conformance_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out codecs by hosts, with a row for all codecs at the end."""
    found = {(row["codec_id"], row["host"]): row for row in rows}
    lines = [
        [f"`{codec_id}`", *(passed_words(found.get((codec_id, host))) for host in HOSTS)]
        for codec_id in sorted({row["codec_id"] for row in rows})
    ]
    sums = []
    for host in HOSTS:
        own = [row for row in rows if row["host"] == host]
        total = {key: sum(row[key] for row in own) for key in ("passed", "total")}
        sums.append(passed_words({**total, "failures": []} if own else None))
    return table(["codec", *HOSTS.values()], [*lines, ["all", *sums]], texts=1)


def chunk_text(chunk_kib: int) -> str:
    """Write the size of a chunk."""
    return f"{chunk_kib >> 10} MiB" if chunk_kib >> 10 else f"{chunk_kib} KiB"


type Speed = Mapping[tuple[str, str, int], Mapping[str, Any]]


def keyed(rows: Iterable[Mapping[str, Any]]) -> Speed:
    """Give rows by host, case and chunk."""
    return {(row["host"], row["case"], row["chunk_kib"]): row for row in rows}


def ratio_of(row: Mapping[str, Any] | None) -> float | None:
    """Give how many times as fast as the host's own codec, if it has one."""
    return row["native_s"] / row["chonkle_s"] if row and row["native_s"] is not None else None


def places_of(speed: Speed) -> list[tuple[str, int]]:
    """Give cases and chunks, the largest chunks first."""
    chunks = sorted({chunk for _, _, chunk in speed}, reverse=True)
    return [
        (case, chunk)
        for chunk in chunks
        for case in CASES
        if any((host, case, chunk) in speed for host in HOSTS)
    ]


def speed_table(speed: Speed, mib: int) -> str:
    """Lay out ratios and speeds."""

    def cell(row: Mapping[str, Any] | None) -> str:
        if row is None:
            return "not run"
        ratio = ratio_of(row)
        rate = f"{mib / row['chonkle_s']:.0f} MiB/s"
        return f"only chonkle's, {rate}" if ratio is None else f"{ratio:.2f}, {rate}"

    rows = [
        [
            chunk_text(chunk),
            CASES[case],
            *(cell(speed.get((host, case, chunk))) for host in COLOURS),
        ]
        for case, chunk in places_of(speed)
    ]
    return table(["chunk", "codecs", *(HOSTS[host] for host in COLOURS)], rows, texts=2)


def targets_table(speed: Speed, targets: Sequence[Mapping[str, Any]]) -> str:
    """Lay out which targets were reached."""
    wanted = {(each["host"], each["case"]): each["wanted"] for each in targets}

    def cell(host: str, case: str, chunk: int) -> str:
        found, target = ratio_of(speed.get((host, case, chunk))), wanted.get((host, case))
        if found is None or target is None:
            return ""
        words = f"{found:.2f} / {target:.2f}"
        return words if found >= REACHED * target else f"**{words}**"

    rows = [
        [chunk_text(chunk), CASES[case], *(cell(host, case, chunk) for host in COLOURS)]
        for case, chunk in places_of(speed)
        if any((host, case) in wanted for host in COLOURS)
    ]
    return table(["chunk", "codecs", *(HOSTS[host] for host in COLOURS)], rows, texts=2)


def page(figures: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        figures: what is in the file of results.
    """
    speed = keyed(figures["speed"])
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return "".join(
        [
            HEAD,
            conformance_table(figures["conformance"]),
            SPEED.format(mib=figures["mib"]),
            speed_table(speed, figures["mib"]),
            f"\nMeasured on {figures['machine']}, with {versions}.\n",
            "[hosts.json](hosts.json) has all figures.\n",
            TARGETS,
            targets_table(speed, figures["targets"]),
        ]
    )


def picture(figures: Mapping[str, Any]) -> bytes:
    """Draw the ratios: a dot for each host, beside a line at the host's own codecs.

    Returns:
        A PNG.
    """
    speed = keyed(figures["speed"])
    lines: list[tuple[str, int]] = []
    for case, chunk in places_of(speed):
        if not lines or lines[-1][1] != chunk:
            lines.append(("", chunk))
        lines.append((case, chunk))
    figure = Figure(figsize=(7.2, 0.27 * len(lines) + 1.1), dpi=110, layout="constrained")
    panel = figure.subplots()
    ratios = [ratio for row in speed.values() if (ratio := ratio_of(row)) is not None]
    title = "Reading with chonkle's codecs, times as fast as the host's own"
    limits = min([0.7, *ratios]) * 0.9, max([2.2, *ratios]) * 1.1
    draw_ratio_axis(panel, title, limits, TICKS)
    for place, (case, chunk) in enumerate(lines):
        found = {
            host: ratio
            for host in COLOURS
            if (ratio := ratio_of(speed.get((host, case, chunk)))) is not None
        }
        if found:
            panel.plot(
                [min(found.values()), max(found.values())], [place] * 2, color="#d9d9d9", zorder=1
            )
        for host, ratio in found.items():
            panel.plot(ratio, place, "o", color=COLOURS[host], markersize=6, zorder=3)
    labels = [CASES[case] if case else f"chunks of {chunk_text(chunk)}" for case, chunk in lines]
    panel.set_yticks(range(len(lines)), labels, fontsize=8)
    for (case, _), label in zip(lines, panel.get_yticklabels(), strict=True):
        label.set_fontweight("normal" if case else "bold")
    panel.set_ylim(len(lines) - 0.4, -0.6)
    for host, colour in COLOURS.items():
        panel.plot([], [], "o", color=colour, markersize=6, label=HOSTS[host])
    figure.legend(loc="outside lower center", ncols=len(COLOURS), fontsize=8, frameon=False)
    return small_png(figure)


def main() -> None:
    """Write the page and its picture."""
    figures = json.loads(FIGURES.read_text("utf-8"))
    PAGE.write_text(page(figures), encoding="utf-8")
    PICTURE.write_bytes(picture(figures))


if __name__ == "__main__":
    main()
