"""Codec lists, the linear form of a pipeline: codecs in the order that encoding applies them.

    {"codecs": [{"name", "type": "numcodecs" | "wasm", "configuration", "uri"?}, ...]}

Every codec maps its `bytes` port to `bytes`, and each entry of `configuration` becomes a constant
that is wired to the port of that name. A first entry `bytes` describes the array (`endian`,
`data_type`, `shape`) and adds no step, since chonkle moves raw bytes.
"""

from collections.abc import Mapping
from typing import Any

from chonkle.dag.graph import Constant, Pipeline, Step, WiringRef
from chonkle.errors import PipelineError
from chonkle.formats.signature import Port
from chonkle.formats.values import PortType, encode_scalar, format_value
from chonkle.names import CODEC_NAME_RULE, is_codec_name, is_wire_name

_FIELDS = frozenset({"name", "type", "configuration", "uri"})
_BACKENDS = {"numcodecs": ("native",), "wasm": ("core", "component")}
_ARRAY_FIELDS = frozenset({"endian", "data_type", "shape"})
_ENDIANS = ("little", "big")


def is_codec_list(document: object) -> bool:
    """Tell a codec list from a graph by its one field."""
    return isinstance(document, dict) and "codecs" in document and "steps" not in document


def codec_list_pipeline(document: Mapping[str, object]) -> Pipeline:
    """Make a pipeline of a codec list, written in the encode direction.

    Raises:
        PipelineError: with every problem.
    """
    entries = document.get("codecs")
    if not isinstance(entries, list) or not entries:
        raise PipelineError(
            "not a codec list",
            expected="a list `codecs` of at least one codec",
            got=format_value(entries),
        )
    problems: list[str] = []
    constants: dict[str, Constant] = {}
    steps: dict[str, Step] = {}
    sources: dict[str, str] = {}
    value = WiringRef("input", "bytes")
    for index, entry in enumerate(entries):
        if index == 0 and isinstance(entry, dict) and entry.get("name") == "bytes":
            problems.extend(_array_problems(entry))
            continue
        found = list(_entry_problems(entry, index))
        problems.extend(found)
        if found:
            continue
        # Two steps may have one codec.
        step_name = f"step{index}"
        inputs = {"bytes": value}
        for name, setting in _configuration(entry).items():
            # numcodecs writes the id, and null for a default.
            if name != "id" and setting is not None:
                constant = f"{step_name}-{name}"
                constants[constant] = Constant(_type_of(setting), setting, encode_scalar(setting))
                inputs[name] = WiringRef("constant", constant)
        steps[step_name] = Step(entry["name"], inputs, _BACKENDS[entry["type"]])
        uri = entry.get("uri")
        if uri is not None and sources.setdefault(entry["name"], uri) != uri:
            problems.append(
                f"codec {index}: another `uri` of `{entry['name']}`, got {format_value(uri)}"
            )
        value = WiringRef(step_name, "bytes")
    if not steps and not problems:
        problems.append("no codec besides `bytes`")
    if problems:
        raise PipelineError.from_problems("codec-list", problems)
    return Pipeline(
        codec_id="codec-list",
        direction="encode",
        inputs={"bytes": Port("bytes")},
        outputs={"bytes": value},
        steps=steps,
        constants=constants,
        sources=sources,
    )


def _entry_problems(entry: object, index: int) -> list[str]:
    where = f"codec {index}"
    if not isinstance(entry, dict):
        return [f"{where}: not an object, got {format_value(entry)}"]
    problems = [f"{where}: unknown field `{name}`" for name in entry if name not in _FIELDS]
    if not is_codec_name(entry.get("name")):
        got = format_value(entry.get("name"))
        problems.append(f"{where}: bad `name`, expected {CODEC_NAME_RULE}, got {got}")
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in _BACKENDS:
        problems.append(
            f"{where}: bad `type`, expected `numcodecs` or `wasm`, got {format_value(kind)}"
        )
    configuration = _configuration(entry)
    if not isinstance(configuration, dict) or not all(map(is_wire_name, configuration)):
        problems.append(f"{where}: bad `configuration`, expected an object of port names")
    elif not _is_json(configuration):
        problems.append(
            f"{where}: bad `configuration`, expected JSON, got {format_value(configuration)}"
        )
    if not isinstance(entry.get("uri", ""), str):
        problems.append(f"{where}: bad `uri`, got {format_value(entry['uri'])}")
    return problems


def _array_problems(entry: Mapping[str, object]) -> list[str]:
    settings = _configuration(entry)
    if not isinstance(settings, dict):
        return [f"codec 0 (`bytes`): bad `configuration`, got {format_value(settings)}"]
    problems = [
        f"codec 0 (`bytes`): unknown field `{name}`"
        for name in settings
        if name not in _ARRAY_FIELDS
    ]
    if settings.get("endian", "little") not in _ENDIANS:
        problems.append(
            f"codec 0 (`bytes`): bad `endian`, expected `little` or `big`, "
            f"got {format_value(settings['endian'])}"
        )
    return problems


def _configuration(entry: Mapping[str, object]) -> Any:  # noqa: ANN401 - not checked yet
    configuration = entry.get("configuration")
    return {} if configuration is None else configuration


def _is_json(setting: object) -> bool:
    # A document made in Python may hold any object.
    try:
        encode_scalar(setting)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _type_of(setting: object) -> PortType:
    match setting:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
        case list() if all(isinstance(item, int) and item >= 0 for item in setting):
            return "uint[]"
    return "dtype_desc"
