"""Make the golden vectors of the shipped codecs with implementations that are not ours.

Run by hand, once, when a case is added; the files that exist are never written again, so that a
codec which changes its output fails its test instead of changing its vectors.

    python tests/golden/codecs/make_vectors.py [FAMILY ...]

Each family of codecs has a file in `makers/`, whose function `vectors` gives its vectors; a file
that is put there is found by itself. A vector becomes a JSON file in
`codec-src/<implementation>/vectors/`, and is skipped while there is no such implementation:

    made_by      what computed the expected side, with versions
    directions   which directions must give exactly the other side
    inputs       ports of the encoded form and parameters: {"base64": ...} or {"json": ...}
    outputs      ports of the decoded form
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
    """Write a vector, unless it is there or its codec is not."""
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
