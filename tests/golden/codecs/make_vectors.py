"""Make the golden vectors of the shipped codecs with independent implementations.

Run by hand when a case is added. Existing files are never written again: a codec whose output
changes fails its test.

    python tests/golden/codecs/make_vectors.py [FAMILY ...]

Each file in `makers/` is a family of codecs; its function `vectors` returns the vectors. A vector
becomes a JSON file in `codec-src/<implementation>/vectors/`, and is skipped when there is no such
implementation. `codec-src/README.md` describes the file.
"""

import argparse
import runpy
from pathlib import Path

from golden_vector import Vector

CODEC_SRC = Path(__file__).parents[3] / "codec-src"
MAKERS = {path.stem: path for path in sorted(Path(__file__).parent.glob("makers/*.py"))}


def main() -> None:
    """Write the vectors that do not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", nargs="*", help=f"of {', '.join(MAKERS)}; all when left out")
    for family in parser.parse_args().family or MAKERS:
        if family not in MAKERS:
            parser.error(f"no family `{family}`, there are {', '.join(MAKERS)}")
        for vector in runpy.run_path(str(MAKERS[family]))["vectors"]():
            write(vector)


def write(vector: Vector) -> None:
    """Write a vector, unless its file exists or its codec does not."""
    folder = CODEC_SRC / vector.implementation
    path = folder / "vectors" / f"{vector.case}.json"
    if not folder.is_dir():
        print(f"{vector.implementation}: not here yet, {vector.case} skipped")
    elif not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(vector.text(), encoding="utf-8")
        print(f"wrote {path.relative_to(CODEC_SRC.parent)}")


if __name__ == "__main__":
    main()
