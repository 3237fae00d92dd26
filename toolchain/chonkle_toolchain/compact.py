"""Writing the numbers in a module's code in as few bytes as they need.

A linker leaves five bytes for every address and every index of a function, and fills them in later;
most of these numbers need one to three. LLVM's can write them short, but Zig has no way to ask it
for that. It is a tenth of a small codec.

    code section    count, { size, body }*
    body            { count, type }* of locals, then instructions: opcode, immediates
"""

from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import Reader, sections, write_u32

_CODE = 10
_HEADER_SIZE = 8
_GROUP = 0x7F
_MORE = 0x80
_SIGN = 0x40

# Opcode -> immediates, of WebAssembly 2.0, section 5.4: `u` and `i` are numbers without and with
# sign, a digit is so many bytes as they are, `*` a list of `u`.
_PLAIN: dict[int, str] = {
    **dict.fromkeys((0x00, 0x01, 0x05, 0x0B, 0x0F), ""),  # unreachable, nop, else, end, return
    **dict.fromkeys((0x02, 0x03, 0x04), "i"),  # block, loop, if
    **dict.fromkeys((0x0C, 0x0D), "u"),  # br, br_if
    0x0E: "*u",  # br_table
    0x10: "u",  # call
    0x11: "uu",  # call_indirect
    **dict.fromkeys((0x1A, 0x1B), ""),  # drop, select
    0x1C: "*",  # select with types
    **dict.fromkeys(range(0x20, 0x27), "u"),  # local.*, global.*, table.get, table.set
    **dict.fromkeys(range(0x28, 0x3F), "uu"),  # loads and stores
    **dict.fromkeys((0x3F, 0x40), "u"),  # memory.size, memory.grow
    **dict.fromkeys((0x41, 0x42), "i"),  # i32.const, i64.const
    0x43: "4",  # f32.const
    0x44: "8",  # f64.const
    **dict.fromkeys(range(0x45, 0xC5), ""),  # numbers
    **dict.fromkeys((0xD0, 0xD2), "u"),  # ref.null, ref.func
    0xD1: "",  # ref.is_null
}
# Behind the prefix 0xFC.
_BULK: dict[int, str] = {
    **dict.fromkeys(range(8), ""),  # saturating truncations
    **dict.fromkeys((8, 10, 12, 14), "uu"),  # memory.init, memory.copy, table.init, table.copy
    **dict.fromkeys((9, 11, 13, 15, 16, 17), "u"),  # data.drop, memory.fill, elem.drop, table.*
}
# Behind the prefix 0xFD.
_VECTOR: dict[int, str] = {
    **dict.fromkeys(range(256), ""),
    **dict.fromkeys((*range(12), 92, 93), "uu"),  # loads and stores
    **dict.fromkeys((12, 13), "88"),  # v128.const, i8x16.shuffle
    **dict.fromkeys(range(21, 35), "1"),  # of one lane
    **dict.fromkeys(range(84, 92), "uu1"),  # loads and stores of one lane
}
_PREFIXED = {0xFC: _BULK, 0xFD: _VECTOR}


def compact(module: bytes) -> bytes:
    """Give a core module with the same code, its numbers written short.

    Args:
        module: a core module.

    Raises:
        WasmFormatError: when it has code that is not WebAssembly 2.0.
    """
    out = [module[:_HEADER_SIZE]]
    for section in sections(module):
        if section.id != _CODE:
            out.append(module[section.start : section.end])
            continue
        reader = Reader(module, section.payload, section.end)
        count = reader.count()
        bodies = [_body(Reader(module, *_sized(reader))) for _ in range(count)]
        body = write_u32(count) + b"".join(write_u32(len(each)) + each for each in bodies)
        out.append(bytes([_CODE]) + write_u32(len(body)) + body)
    return b"".join(out)


def _sized(reader: Reader) -> tuple[int, int]:
    """Step over something with its size in front, and tell where it begins and ends."""
    size = reader.u32()
    start = reader.offset
    reader.take(size)
    return start, reader.offset


def _body(reader: Reader) -> bytearray:
    out = bytearray()
    for _ in range(_copy_count(reader, out)):
        _copy(reader, "u1", out)
    while reader.offset < reader.end:
        opcode = reader.byte()
        out.append(opcode)
        table = _PREFIXED.get(opcode)
        if table is None:
            table = _PLAIN
        else:
            opcode = _copy_count(reader, out)
        if opcode not in table:
            raise WasmFormatError(f"no instruction of WebAssembly 2.0 before byte {reader.offset}")
        _copy(reader, table[opcode], out)
    return out


def _copy(reader: Reader, immediates: str, out: bytearray) -> None:
    for kind in immediates:
        if kind == "*":
            for _ in range(_copy_count(reader, out)):
                out += _short(reader, is_signed=False)
        elif kind in "ui":
            out += _short(reader, is_signed=kind == "i")
        else:
            out += reader.take(int(kind))


def _copy_count(reader: Reader, out: bytearray) -> int:
    value = reader.u32()
    out += write_u32(value)
    return value


def _short(reader: Reader, *, is_signed: bool) -> bytearray:
    """Read a LEB128 number and write it without the groups that say nothing."""
    groups = bytearray()
    while True:
        byte = reader.byte()
        groups.append(byte & _GROUP)
        if byte < _MORE:
            break
    while len(groups) > 1:
        # The last group goes if it repeats what the one before says of all further ones.
        filler = _GROUP if is_signed and groups[-2] & _SIGN else 0
        if groups[-1] != filler:
            break
        groups.pop()
    for index in range(len(groups) - 1):
        groups[index] |= _MORE
    return groups
