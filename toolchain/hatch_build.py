"""Put the codec SDK into what is built of this distribution."""

from pathlib import Path

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PARTS = ("wit", "c", "rust")


class SdkHook(BuildHookInterface[BuilderConfig]):
    """Packs the SDK, which stands beside the codecs in a clone and has no other place there.

    A source distribution has it in the package already, and an editable install reads the clone's.
    """

    def initialize(self, version: str, build_data: dict[str, dict[str, str]]) -> None:
        """Add the SDK's files to those of the package.

        Args:
            version: what is built of the target: `standard` or `editable`.
            build_data: what to build; changed.
        """
        sdk = Path(self.root).parent / "codec-src" / "sdk"
        if version == "editable" or not sdk.is_dir():
            return
        for part in _PARTS:
            for path in sorted((sdk / part).rglob("*")):
                relative = path.relative_to(sdk)
                if path.is_file() and "target" not in relative.parts:
                    build_data["force_include"][str(path)] = (
                        f"chonkle_toolchain/sdk/{relative.as_posix()}"
                    )
