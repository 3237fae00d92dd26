"""What a signature declares beyond its ports: how other libraries write the codec's parameters.

`chonkle.codec`, codec lists and the doors to Zarr, numcodecs and TIFF use only this, so that a
codec needs no Python of its own. Everything here is optional. A pipeline never reads it, so a
malformed declaration fails where it is used. `docs/reference/signature.md` lists the fields.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal, cast, get_args

from chonkle.errors import ChonkleError, PipelineError, SignatureError, suggest
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import CodecKind, Signature
from chonkle.formats.values import format_value, is_value

FromArray = Literal[
    "dtype",
    "itemsize",
    "scalarsize",
    "byte_order",
    "shape",
    "shape[-1]",
    "width",
    "samples_per_pixel",
]
PartialDecode = Literal["none", "elements"]
SizeKind = Literal["fixed", "bounded", "unbounded"]
ALIAS_SCOPES = ("zarr_v3", "zarr_v2", "numcodecs", "tiff_compression", "tiff_predictor", "chonkle")

_FORMULA_MAX_CHARACTERS = 200
# Of Python's syntax, only that part in which other readers agree.
_FORMULA = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*+|[0-9]++(?![A-Za-z_])|[-+*/() ])++")
_FORMULA_RULE = "an expression of whole numbers, ports, `+ - * /`, `ceil(...)` and `size(port)`"
# The port type of what an array gives.
_FROM_ARRAY_TYPES: Mapping[FromArray, tuple[str, ...]] = {
    "dtype": ("dtype_desc",),
    "itemsize": ("int", "uint"),
    "scalarsize": ("int", "uint"),
    "byte_order": ("string",),
    "shape": ("uint[]",),
    "shape[-1]": ("int", "uint"),
    "width": ("int", "uint"),
    "samples_per_pixel": ("int", "uint"),
}
# What depends on the shape of an array.
OF_SHAPE: frozenset[FromArray] = frozenset(("shape", "shape[-1]", "width", "samples_per_pixel"))
_RANGE_TYPES = ("int", "uint", "float")
# The members of `array` for each side, and the kinds of codecs that have such an array.
_ARRAY_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "input": ("dtype", "permuted_by"),
    "output": ("byte_order", "dtype"),
}
_ARRAY_KINDS: Mapping[str, tuple[CodecKind, ...]] = {
    "input": ("array-to-array",),
    "output": ("array-to-array", "array-to-bytes"),
}


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

    def find_dtype(self, values: Mapping[str, object], *, first: str = "") -> Dtype | None:
        """Give the dtype, or None if no port in `dtype` has a value.

        Args:
            values: of parameters.
            first: the port in `dtype` to begin with.

        Raises:
            PipelineError: when a value is no dtype.
        """
        listed = self.dtype[self.dtype.index(first) :] if first else self.dtype
        for each in listed:
            value = each if is_type_string(each) else values.get(each)
            if value is not None:
                return Dtype.of(value)
        return None


@dataclass(frozen=True, slots=True)
class EncodedSize:
    """The size of the encoded form in terms of what is encoded.

    Attributes:
        kind: whether the formula is the size, a bound of it, or missing.
        formula: see `Declared.encoded_bytes`.
    """

    kind: SizeKind = "unbounded"
    formula: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a signature declares, checked.

    Attributes:
        signature: the signature.
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

    signature: Signature
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

    def with_defaults(self, values: Mapping[str, object]) -> dict[str, object]:
        """Add the defaults of parameters without a value."""
        defaults = {
            name: self.signature.inputs[name].default
            for name in self.parameters
            if self.signature.inputs[name].default is not None
        }
        return {**defaults, **values}

    def encoded_bytes(
        self, sizes: Mapping[str, int], values: Mapping[str, object], *, up_to: bool = False
    ) -> int | None:
        """Give the size of the encoded form, or a bound of it if `encoded_size` is `bounded`.

        In the formula, a data port is its size in bytes. `size(port)` is the size of an element: of
        the port's dtype or, where the port has no value and `dtype` of the encoded array lists it,
        of the next in the list that has one.

        Args:
            sizes: bytes of the data ports that encoding takes.
            values: of parameters; others have their defaults.
            up_to: give a bound for data of these sizes and of any smaller ones.

        Returns:
            The result of the formula rounded up, or 0 if it is negative. None if there is no
            formula, or a value that it needs is missing, or it divides by zero.
        """
        if self.encoded_size.kind == "unbounded":
            return None
        known = self.with_defaults(values)

        def number(name: str) -> _Range:
            if name in sizes:
                return Fraction(0 if up_to else sizes[name]), Fraction(sizes[name])
            if not is_value(known.get(name), "float"):
                raise LookupError(name)
            value = Fraction(cast("float", known[name]))
            return value, value

        def itemsize(name: str) -> int:
            if name in self.encoded.dtype:
                dtype = self.encoded.find_dtype(known, first=name)
            else:
                dtype = Dtype.of(known[name])
            if dtype is None:
                raise LookupError(name)
            return dtype.itemsize

        try:
            most = _evaluate(_parse_formula(self.encoded_size.formula), number, itemsize)[1]
        except (LookupError, ZeroDivisionError, PipelineError):
            return None
        return max(0, math.ceil(most))


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
        declared = Declared(
            signature=self.signature,
            kind=cast("CodecKind | None", self.document.get("kind")),
            aliases=read_aliases(self.document, what=self.what),
            parameters=parameters,
            decoded=self._array("output", self._ports("outputs").get("bytes", {})),
            encoded=self._array("input", ports.get("bytes", {})),
            encoded_size=self._encoded_size(),
            partial_decode=self._one_of("partial_decode", get_args(PartialDecode), "none"),
            concurrency=self._concurrency(),
            identity=self._identity(parameters),
        )
        if declared.partial_decode == "elements" and declared.encoded_size.kind != "fixed":
            # Only then a reader knows which bytes an element is.
            raise self._fail(
                "`partial_decode`", "`encoded_size` of kind `fixed` beside `elements`", "elements"
            )
        return declared

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
        parameter = Parameter(**found)
        least, most = parameter.minimum, parameter.maximum
        if least is not None and most is not None and least > most:
            raise self._fail(f"`maximum` of port `{name}`", f"at least `minimum`, {least}", most)
        default = self.signature.inputs[name].default
        for field, value in (
            *(("choices", each) for each in parameter.choices),
            *(("values", each) for each in (parameter.values or {}).values()),
            *([] if default is None else [("default", default)]),
        ):
            self._require_accepted(parameter, value, f"`{field}` of port `{name}`")
        return parameter

    def _require_accepted(self, parameter: Parameter, value: object, where: str) -> None:
        parameter.accept(value, what=f"{self.what}: bad {where}", error=SignatureError)

    def _array(self, side: str, port: Mapping[str, Any]) -> ArrayForm:
        where = f"`array` of {side} port `bytes`"
        written = port.get("array", {})
        known = _ARRAY_MEMBERS[side]
        if not isinstance(written, dict) or not {*known} >= written.keys():
            raise self._fail(where, f"an object with nothing but {', '.join(known)}", written)
        kinds = _ARRAY_KINDS[side]
        if written and self.document.get("kind") not in kinds:
            raise SignatureError(
                f"{self.what}: {where}, in a codec of another `kind`",
                expected=" or ".join(f"`{each}`" for each in kinds),
                got=format_value(self.document["kind"]) if "kind" in self.document else "none",
            )
        dtype = written.get("dtype", [])
        if not isinstance(dtype, list):
            raise self._fail(f"`dtype` in {where}", "a list", dtype)
        form = ArrayForm(**{**written, "dtype": tuple(dtype)})
        if form.byte_order not in ("", "little"):
            raise self._fail(f"`byte_order` in {where}", "`little`, or nothing", form.byte_order)
        inputs = self.signature.inputs
        for each in form.dtype:
            is_port = _is_text(each) and each in inputs and inputs[each].type == "dtype_desc"
            if not is_port and not is_type_string(each):
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
        ports = self.signature.connectable_ports("encode")
        numbers = {name for name, port in ports.items() if port.type in ("bytes", *_RANGE_TYPES)}
        dtypes = {name for name, port in ports.items() if port.type == "dtype_desc"}
        where = "`formula` of `encoded_size`"
        try:
            unknown = list(_unknown_ports(_parse_formula(formula), numbers, dtypes))
        except ValueError as failure:
            raise self._fail(where, str(failure), formula) from None
        for name, expected in unknown:
            raise self._fail(where, expected, name)
        return size

    def _concurrency(self) -> int:
        value = self.document.get("concurrency", 1)
        if not is_value(value, "uint") or value == 0:
            raise self._fail("`concurrency`", "a number of threads, at least 1", value)
        return cast("int", value)

    def _identity(self, parameters: Mapping[str, Parameter]) -> tuple[Mapping[str, object], ...]:
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
        for each in written:
            for name, value in each.items():
                self._require_accepted(parameters[name], value, f"`{name}` in `identity`")
        return tuple(written)


def is_type_string(value: object) -> bool:
    """Tell a type string, such as `<u2`, from the name of a port."""
    return isinstance(value, str) and value[:1] in ("<", ">", "|")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


# The least and the greatest result.
type _Range = tuple[Fraction, Fraction]


def _parse_formula(formula: str) -> ast.expr:
    """Parse a formula; a ValueError says what is allowed."""
    if not _FORMULA.fullmatch(formula):
        raise ValueError(_FORMULA_RULE)
    try:
        return ast.parse(formula.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(_FORMULA_RULE) from None


def _unknown_ports(
    node: ast.expr, numbers: Collection[str], dtypes: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Find ports of a formula that do not exist; a ValueError says what else is not allowed.

    Yields:
        The name, and what is expected there.
    """
    match node:
        case ast.Constant(value=int()) if not isinstance(node.value, bool):
            return
        case ast.Name(id=name):
            if name not in numbers:
                yield name, f"data or a number: {', '.join(sorted(numbers)) or 'none'}"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield from _unknown_ports(left, numbers, dtypes)
            yield from _unknown_ports(right, numbers, dtypes)
        case ast.Call(func=ast.Name(id="ceil"), args=[each], keywords=[]):
            yield from _unknown_ports(each, numbers, dtypes)
        case ast.Call(func=ast.Name(id="size"), args=[ast.Name(id=name)], keywords=[]):
            if name not in dtypes:
                yield name, f"in `size` a dtype: {', '.join(sorted(dtypes)) or 'none'}"
        case _:
            raise ValueError(_FORMULA_RULE)


def _evaluate(
    node: ast.expr, number: Callable[[str], _Range], itemsize: Callable[[str], int]
) -> _Range:
    match node:
        case ast.Constant(value=int() as value):
            return Fraction(value), Fraction(value)
        case ast.Name(id=name):
            return number(name)
        case ast.BinOp(left=left, op=op, right=right):
            one, other = (_evaluate(each, number, itemsize) for each in (left, right))
            if isinstance(op, ast.Div) and other[0] <= 0 <= other[1]:
                raise ZeroDivisionError
            # Each operator has its extremes at the ends of the ranges.
            results = [_OPERATORS[type(op)](x, y) for x in one for y in other]
            return min(results), max(results)
        case ast.Call(func=ast.Name(id="ceil"), args=[each]):
            least, most = _evaluate(each, number, itemsize)
            return Fraction(math.ceil(least)), Fraction(math.ceil(most))
        case ast.Call(args=[ast.Name(id=name)]):
            return Fraction(itemsize(name)), Fraction(itemsize(name))
    raise ValueError(ast.dump(node))  # `_unknown_ports` let it through
