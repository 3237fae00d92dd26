"""What a signature declares beyond its ports: how other libraries write the codec's parameters.

`chonkle.codec`, codec lists and the doors to Zarr, numcodecs and TIFF use only this, so that a
codec needs no Python of its own. Everything here is optional. A pipeline never reads it, so a
malformed declaration fails where it is used. `docs/reference/signature.md` lists the fields.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal, cast, get_args

from chonkle.errors import ChonkleError, SignatureError, suggest
from chonkle.formats.signature import CodecKind, Signature
from chonkle.formats.values import format_value, is_value

FromArray = Literal["dtype", "itemsize", "scalarsize", "shape", "shape[-1]"]
PartialDecode = Literal["none", "elements"]
SizeKind = Literal["fixed", "bounded", "unbounded"]
ALIAS_SCOPES = ("zarr_v3", "zarr_v2", "numcodecs", "tiff_compression", "tiff_predictor", "chonkle")

_FORMULA_MAX_CHARACTERS = 200
# The port type of what an array gives.
_FROM_ARRAY_TYPES: Mapping[FromArray, tuple[str, ...]] = {
    "dtype": ("dtype_desc",),
    "itemsize": ("int", "uint"),
    "scalarsize": ("int", "uint"),
    "shape": ("uint[]",),
    "shape[-1]": ("int", "uint"),
}
_RANGE_TYPES = ("int", "uint", "float")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter port declares.

    Attributes:
        minimum: the least value, or None.
        maximum: the greatest value, or None.
        clamp: a value beyond counts as the nearest one within; otherwise the codec refuses it.
        choices: the only values, if there are any.
        values: words that other libraries use, and the value that each stands for.
        from_array: the property of the decoded array that is the value when none is given.
        json_text: a string that is the JSON text of what a configuration has.
    """

    minimum: float | None = None
    maximum: float | None = None
    clamp: bool = False
    choices: tuple[object, ...] = ()
    values: Mapping[str, object] | None = None
    from_array: FromArray | None = None
    json_text: bool = False

    def accept(self, value: Any, *, what: str, error: type[ChonkleError]) -> object:  # noqa: ANN401
        """Require a value of the port's type to be in the range or one of the choices.

        Args:
            value: the value.
            what: the parameter, for messages.
            error: the class of the error.

        Returns:
            The value, or the nearest one within.

        Raises:
            ChonkleError: of the class `error`.
        """
        if self.choices and value not in self.choices:
            similar = suggest(value, map(str, self.choices)) if isinstance(value, str) else ""
            raise error(
                f"{what}: unknown value",
                expected=f"one of {', '.join(map(format_value, self.choices))}",
                got=format_value(value),
                hint=similar,
            )
        least, most = self.minimum, self.maximum
        if least is not None and value < least:
            bound = least
        elif most is not None and value > most:
            bound = most
        else:
            return value
        if self.clamp:
            return bound
        if least is None or most is None:
            expected = f"at least {least}" if most is None else f"at most {most}"
        else:
            expected = f"{least} to {most}"
        raise error(f"{what}: out of range", expected=expected, got=format_value(value))


@dataclass(frozen=True, slots=True)
class ArrayForm:
    """The array that the bytes of a data port are: its elements in C order.

    Attributes:
        byte_order: `little` where elements are always little-endian; otherwise empty, for the order
            of the dtype.
        dtype: parameter ports and type strings; the first of them that has a value is the dtype.
        permuted_by: the parameter port with the order of the axes, or empty.
    """

    byte_order: str = ""
    dtype: tuple[str, ...] = ()
    permuted_by: str = ""


@dataclass(frozen=True, slots=True)
class EncodedSize:
    """The size of the encoded form in terms of what is encoded.

    Attributes:
        kind: whether the formula is the size, a bound of it, or missing.
        formula: an expression of numbers, ports, `ceil(...)` and `size(port)`, the bytes of an
            element of a dtype; a data port stands for its size in bytes.
    """

    kind: SizeKind = "unbounded"
    formula: str = ""

    def compute(self, values: Mapping[str, float], sizes: Mapping[str, int]) -> int | None:
        """Give the size in bytes, rounded up, or None if it is unbounded or a value is missing.

        Args:
            values: bytes of the data ports, and the numbers that parameters have.
            sizes: bytes of an element of each dtype port that has a value.
        """
        if self.kind == "unbounded":
            return None
        try:
            return math.ceil(_evaluate(ast.parse(self.formula, mode="eval").body, values, sizes))
        except (KeyError, ZeroDivisionError):
            return None


@dataclass(frozen=True, slots=True)
class Declared:
    """What a signature declares, checked.

    Attributes:
        kind: what the codec maps, or None where it is not declared.
        aliases: names of the codec elsewhere, by scope; TIFF's are decimal.
        parameters: what each parameter port declares.
        decoded: the array that the decoded port `bytes` carries.
        encoded: the array that the encoded port `bytes` carries.
        encoded_size: the size of the encoded form.
        partial_decode: `elements` if any run of whole elements decodes by itself.
        concurrency: the number of threads that may work on one chunk with a gain.
        identity: parameter values with which encoded and decoded bytes are equal.
    """

    kind: CodecKind | None
    aliases: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Parameter]
    decoded: ArrayForm
    encoded: ArrayForm
    encoded_size: EncodedSize
    partial_decode: PartialDecode
    concurrency: int
    identity: tuple[Mapping[str, object], ...]

    @classmethod
    def of(cls, signature: Signature, *, what: str = "") -> "Declared":
        """Read and check what a signature declares.

        Args:
            signature: the signature.
            what: its origin, for messages.

        Raises:
            SignatureError: when a declared field is malformed.
        """
        return _Reader(signature, what or f"signature of `{signature.label}`").declared()


def read_aliases(document: Mapping[str, object], *, what: str) -> dict[str, tuple[str, ...]]:
    """Read the names that a codec has elsewhere.

    Args:
        document: the signature as JSON.
        what: the signature, for messages.

    Returns:
        The names by scope. Numbers are written in decimal, as `8`.

    Raises:
        SignatureError: when they are malformed.
    """
    aliases = document.get("aliases", {})
    expected = "an object of lists of names"
    if not isinstance(aliases, dict):
        raise SignatureError(f"{what}: bad `aliases`", expected=expected, got=format_value(aliases))
    found = {}
    for scope, names in aliases.items():
        if not isinstance(names, list) or not all(
            isinstance(name, (str, int)) and not isinstance(name, bool) and name != ""
            for name in names
        ):
            raise SignatureError(
                f"{what}: bad `aliases`", expected=expected, got=format_value({scope: names})
            )
        found[scope] = tuple(map(str, names))
    return found


class _Reader:
    """Reads the declarations of one signature."""

    def __init__(self, signature: Signature, what: str) -> None:
        self.signature = signature
        self.document = signature.document
        self.what = what

    def declared(self) -> Declared:
        ports = self._ports("inputs")
        parameters = {
            name: self._parameter(name, ports.get(name, {}))
            for name, port in self.signature.inputs.items()
            if port.parameter
        }
        return Declared(
            kind=cast("CodecKind | None", self.document.get("kind")),
            aliases=read_aliases(self.document, what=self.what),
            parameters=parameters,
            decoded=self._array("output", self._ports("outputs").get("bytes", {})),
            encoded=self._array("input", ports.get("bytes", {})),
            encoded_size=self._encoded_size(),
            partial_decode=self._one_of("partial_decode", get_args(PartialDecode), "none"),
            concurrency=self._concurrency(),
            identity=self._identity(),
        )

    def _ports(self, side: str) -> Mapping[str, Mapping[str, Any]]:
        # `Signature` checked that they are objects.
        return cast("Mapping[str, Mapping[str, Any]]", self.document.get(side, {}))

    def _fail(self, where: str, expected: str, got: object) -> SignatureError:
        return SignatureError(f"{self.what}: bad {where}", expected=expected, got=format_value(got))

    def _one_of(self, name: str, allowed: tuple[str, ...], default: str) -> Any:  # noqa: ANN401
        value = self.document.get(name, default)
        if value not in allowed:
            raise self._fail(f"`{name}`", f"one of {', '.join(allowed)}", value)
        return value

    def _parameter(self, name: str, written: Mapping[str, Any]) -> Parameter:
        port_type = self.signature.inputs[name].type
        found = {
            field.name: written[field.name] for field in fields(Parameter) if field.name in written
        }

        def require(field: str, holds: Callable[[Any], bool], expected: str) -> None:
            if field in found and not holds(found[field]):
                raise self._fail(f"`{field}` of port `{name}`", expected, found[field])

        def is_port_value(value: object) -> bool:
            return is_value(value, port_type)

        for bound in ("minimum", "maximum"):
            require(
                bound,
                lambda value: port_type in _RANGE_TYPES and is_port_value(value),
                f"a value of the port, which is of one of {', '.join(_RANGE_TYPES)}",
            )
        require(
            "clamp",
            lambda value: isinstance(value, bool) and bool({"minimum", "maximum"} & found.keys()),
            "a boolean, beside `minimum` or `maximum`",
        )
        require(
            "choices",
            lambda value: isinstance(value, list) and all(map(is_port_value, value)),
            f"a list of values of type `{port_type}`",
        )
        require(
            "values",
            lambda value: isinstance(value, dict) and all(map(is_port_value, value.values())),
            f"an object of values of type `{port_type}`",
        )
        fitting = [each for each, types in _FROM_ARRAY_TYPES.items() if port_type in types]
        require(
            "from_array",
            lambda value: value in fitting,
            f"one of {', '.join(fitting)}" if fitting else f"none on a port of type `{port_type}`",
        )
        require(
            "json_text",
            lambda value: isinstance(value, bool) and port_type == "string",
            "a boolean, on a port of type `string`",
        )
        if "choices" in found:
            found["choices"] = tuple(found["choices"])
        return Parameter(**found)

    def _array(self, side: str, port: Mapping[str, Any]) -> ArrayForm:
        where = f"`array` of {side} port `bytes`"
        written = port.get("array", {})
        known = [field.name for field in fields(ArrayForm)]
        if not isinstance(written, dict) or not {*known} >= written.keys():
            raise self._fail(where, f"an object of some of {', '.join(known)}", written)
        dtype = written.get("dtype", [])
        if not isinstance(dtype, list):
            raise self._fail(f"`dtype` in {where}", "a list", dtype)
        form = ArrayForm(**{**written, "dtype": tuple(dtype)})
        if form.byte_order not in ("", "little"):
            raise self._fail(f"`byte_order` in {where}", "`little`, or nothing", form.byte_order)
        inputs = self.signature.inputs
        for each in form.dtype:
            is_port = _is_text(each) and each in inputs and inputs[each].type == "dtype_desc"
            if not (is_port or (_is_text(each) and each[:1] in ("<", ">", "|"))):
                raise self._fail(
                    f"`dtype` in {where}", "a list of dtype ports or type strings", each
                )
        if form.permuted_by:
            port_found = inputs.get(form.permuted_by) if _is_text(form.permuted_by) else None
            if port_found is None or port_found.type != "uint[]":
                raise self._fail(
                    f"`permuted_by` in {where}", "a port of type `uint[]`", form.permuted_by
                )
        return form

    def _encoded_size(self) -> EncodedSize:
        written = self.document.get("encoded_size", {"kind": "unbounded"})
        expected = f"an object with `kind`, one of {', '.join(get_args(SizeKind))}, and `formula`"
        if not isinstance(written, dict) or written.get("kind") not in get_args(SizeKind):
            raise self._fail("`encoded_size`", expected, written)
        formula = written.get("formula", "")
        if not isinstance(formula, str) or len(formula) > _FORMULA_MAX_CHARACTERS:
            raise self._fail("`encoded_size`", expected, written)
        size = EncodedSize(written["kind"], formula)
        if size.kind == "unbounded":
            return size
        known = {*self.signature.inputs, *self.signature.outputs}
        try:
            names = _names(ast.parse(size.formula, mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
            raise self._fail("`formula` of `encoded_size`", str(failure), size.formula) from None
        if not names <= known:
            expected = f"ports: {', '.join(sorted(known))}"
            raise self._fail("`formula` of `encoded_size`", expected, min(names - known))
        return size

    def _concurrency(self) -> int:
        value = self.document.get("concurrency", 1)
        if not is_value(value, "uint") or value == 0:
            raise self._fail("`concurrency`", "a number of threads, at least 1", value)
        return cast("int", value)

    def _identity(self) -> tuple[Mapping[str, object], ...]:
        written = self.document.get("identity", [])
        inputs = self.signature.inputs
        if not isinstance(written, list) or not all(
            isinstance(each, dict)
            and each
            and all(
                name in inputs and inputs[name].parameter and is_value(value, inputs[name].type)
                for name, value in each.items()
            )
            for each in written
        ):
            raise self._fail("`identity`", "a list of objects of parameter values", written)
        return tuple(written)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _names(node: ast.expr) -> set[str]:
    """Check a formula, and give the ports in it; a ValueError says what is not allowed."""
    match node:
        case ast.Constant(value=int()) if not isinstance(node.value, bool):
            return set()
        case ast.Name(id=name):
            return {name}
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _names(left) | _names(right)
        case ast.Call(func=ast.Name(id="ceil"), args=[each], keywords=[]):
            return _names(each)
        case ast.Call(func=ast.Name(id="size"), args=[ast.Name(id=name)], keywords=[]):
            return {name}
    raise ValueError("an expression of numbers, ports, `+ - * /`, `ceil(...)` and `size(port)`")


def _evaluate(node: ast.expr, values: Mapping[str, float], sizes: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int() as number):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(values[name])
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](
                _evaluate(left, values, sizes), _evaluate(right, values, sizes)
            )
        case ast.Call(func=ast.Name(id="ceil"), args=[each]):
            return Fraction(math.ceil(_evaluate(each, values, sizes)))
        case ast.Call(args=[ast.Name(id=name)]):
            return Fraction(sizes[name])
    raise ValueError(ast.dump(node))  # `_names` let it through
