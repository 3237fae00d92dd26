"""The demo that the README begins with."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_it_decodes_to_the_right_pixels_in_three_ways_and_draws_them() -> None:
    pictures = [ROOT / "build/demo/relief.png", ROOT / "build/demo/front.png"]
    for picture in pictures:
        picture.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "docs/examples/demo/demo.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "equal to what tifffile reads" in done.stdout
    assert re.search(r"cold cache +2 compiled, 0 loaded", done.stdout)
    assert re.search(r"warm cache +0 compiled, 2 loaded", done.stdout)
    for way in ("chonkle.codec", "a Zarr array, chonkle in use", "a process of chonkle run"):
        assert re.search(rf"{way} +[0-9.]+ ms", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80

    for picture in pictures:
        with Image.open(picture) as image:
            colours = np.asarray(image.convert("RGB"))
        assert min(colours.shape[:2]) > 300
        # A relief has many colours; an empty page, or one that failed half way, has few.
        assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 10_000
