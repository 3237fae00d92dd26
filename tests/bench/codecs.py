"""Every shipped codec against codecs of other libraries, in one run.

In decoded megabytes per second, with copies in and out: a run of a one-step pipeline on the core
module, the bare call, and a run on the component; then each rival, with the speed of a run as a
multiple of its own. Times are processor times on one thread, medians over rounds in which each call
has a turn. Ratios are medians of each round's ratio, so that a change of the machine's speed does
not matter.

A missed target prints a line and is no failure.
"""

import argparse
import runpy
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import chonkle
from chonkle.errors import ChonkleError
from chonkle.formats.signature import Signature
from chonkle.storage.store import bundled_store
from tests.bench.codec_speed.case import SIZES
from tests.bench.codec_speed.cases import CASES, cases_of
from tests.bench.codec_speed.measure import Row, measure
from tests.bench.codec_speed.memory import measure_growth
from tests.bench.codec_speed.ours import CALL, COMPONENT, RUN
from tests.bench.codec_speed.pipelines import measure_chains
from tests.bench.codec_speed.report import write_report
from tests.bench.codec_speed.targets import outcomes
from tests.bench.codec_speed.timing import Effort

FULL, QUICK = Effort(rounds=7, turn_s=0.02), Effort(rounds=3, turn_s=0.003)
REPORT = Path(__file__).parents[2] / "docs/reference/performance.json"
CHUNKS_FULL, CHUNKS_QUICK = 1000, 100
HEAD = (
    f"{'MB/s, decoded':<28}{'':<8}{'chunk':>7}{'run':>9}{'call':>9}{'comp.':>9}{'size':>6}"
    "   others (and how many times as fast as they a run is)"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--codec", action="append", help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="far less time, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured here")
    parser.add_argument(
        "--markdown", action="store_true", help="write docs/reference/performance.*"
    )
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    chunks = CHUNKS_QUICK if options.quick else CHUNKS_FULL
    signatures = shipped(options.codec)
    with (
        tempfile.TemporaryDirectory(prefix="chonkle-bench-") as temporary,
        chonkle.Runtime(cache=Path(temporary)) as runtime,
    ):
        print(HEAD)
        rows = list(measure_all(signatures, runtime, effort))
        missing = {case.codec_id for case in CASES} - {each.codec_id for each in signatures}
        if missing and not options.codec:
            print(f"not here yet: {', '.join(sorted(missing))}")
        print("\ntargets, as times as fast")
        there = {each.codec_id for each in signatures}
        targets = [*printed(outcomes(rows)), *printed(measure_chains(runtime, effort, there))]
        memory = list(
            printed(
                measure_growth(cases_of(signature)[0], signature, chunks=chunks, runtime=runtime)
                for signature in signatures
            )
        )
    if options.json:
        write_report(options.json, rows=rows, targets=targets, memory=memory)
    if options.markdown:
        write_report(REPORT, rows=rows, targets=targets, memory=memory)
        runpy.run_path(str(REPORT.with_name("make_performance.py")), run_name="__main__")


def printed[T](items: Iterable[T]) -> Iterator[T]:
    """Print each item at once."""
    for item in items:
        print(item, flush=True)
        yield item


def shipped(wanted: Sequence[str] | None) -> list[Signature]:
    """Return the signatures of all shipped codecs, or of the wanted ones."""
    found = {
        codec.signature.label: codec.signature
        for codec in bundled_store().survey()[0]
        if not wanted or codec.signature.codec_id in wanted
    }
    return [found[label] for label in sorted(found)]


def measure_all(
    signatures: Sequence[Signature], runtime: chonkle.Runtime, effort: Effort
) -> Iterator[Row]:
    """Measure codecs; print each row at once, and each case that could not be measured."""
    for signature in signatures:
        for case in cases_of(signature):
            try:
                for size in SIZES:
                    for row in measure(case, signature, size, runtime=runtime, effort=effort):
                        print(text_of(row), flush=True)
                        yield row
            except (ChonkleError, AssertionError, ModuleNotFoundError) as failure:
                print(f"{case.name}: NOT MEASURED: {failure}")


def text_of(row: Row) -> str:
    """Return a row as text."""
    ours = "".join(f"{row.mb_s[name]:9.0f}" for name in (RUN, CALL, COMPONENT))
    size = row.encoded_bytes[RUN] / row.size_bytes
    others = "".join(
        f"   {name} {row.mb_s[name]:.0f} ({ratio:.2f})" for name, ratio in row.ratio.items()
    )
    return f"{row.name:<28}{row.direction:<8}{row.size:>7}{ours}{size:6.2f}{others}"


if __name__ == "__main__":
    main()
