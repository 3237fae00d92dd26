"""Components by chance, written as text: codecs whose functions can be told apart by what they say.

Each core function answers with a refusal that names it, so that a reader that takes another
function, memory or allocator than wasmtime does is found by running both. What a codec is made of
is wrapped in layers that change indices and names: core instances put together from exports,
aliases of aliases, nested components that only give on what they get, types and further exports.
"""

import random

import wasmtime

from chonkle.formats.wasm_binary import sections

PORT_MAP = "(list (tuple string (list u8)))"
INTERFACE = "chonkle:codec/transform@0.1.0"
MODULE = """
  (core module $m{number}
    {imports}
    (memory (export "{memory}") 1) (memory $other (export "{other}") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "{realloc}") (param i32 i32 i32 i32) (result i32)
      (local $start i32)
      (local.set $start (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $start) (local.get 3)))
      (local.get $start))
    (func (export "{trap}") (param i32 i32 i32 i32) (result i32) unreachable)
    {functions}
    (func (export "{post}") (param i32))
    (func (export "{loud}") (param i32) unreachable)
    (data (i32.const 1024) "{words}") (data (memory $other) (i32.const 1024) "{other_words}"))
"""
# Answers `err` with four bytes of the words, or the input.
REFUSE = """
  (func (export "{name}") (param i32 i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const {at}))
    (i32.store (i32.const 24) (i32.const 4))
    (i32.store8 $other (i32.const 16) (i32.const 1))
    (i32.store $other (i32.const 20) (i32.const {at}))
    (i32.store $other (i32.const 24) (i32.const 4))
    (i32.const 16))
"""
ECHO = """
  (func (export "{name}") (param i32 i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (local.get 0))
    (i32.store (i32.const 24) (local.get 1)) (i32.const 16))
"""


class Writer:
    """Writes one component.

    Args of the constructor:
        chance: what decides.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lines: list[str] = []
        self.numbers = iter(range(10_000))
        # Core functions by what they are for, as texts that stand for them in a lift.
        self.core: dict[str, list[str]] = {}

    def new(self, prefix: str) -> str:
        return f"${prefix}{next(self.numbers)}"

    def names(self, count: int) -> list[str]:
        chosen = self.chance.sample("abcdefghijklmnopqrstuvwxyz", count)
        return [each * self.chance.choice((1, 1, 3)) for each in chosen]

    def component(self) -> bytes:
        """Write the whole component."""
        chance = self.chance
        for number in range(chance.choice((1, 1, 2, 3))):
            self.module(number)
        for _ in range(chance.randrange(4)):
            self.noise()
        self.lines.append(f"(type $port-map {PORT_MAP})")
        self.lines.append(
            '(type $transform (func (param "inputs" $port-map)'
            " (result (result $port-map (error string)))))"
        )
        functions = [self.lift() for _ in range(chance.randrange(2, 5))]
        for _ in range(chance.randrange(3)):
            self.noise()
        chosen = {name: chance.choice(functions) for name in ("encode", "decode")}
        self.export(chosen, functions)
        return bytes(wasmtime.wat2wasm("(component " + "\n".join(self.lines) + ")"))

    def module(self, number: int) -> None:
        """Write a core module, its instance, and names for what it exports."""
        chance = self.chance
        kinds = ["memory", "other", "realloc", "trap", "post", "loud"]
        functions = chance.randrange(2, 5)
        names = self.names(len(kinds) + functions)
        named = dict(zip(kinds, names, strict=False))
        own = names[len(kinds) :]
        written = [
            (ECHO if chance.random() < 0.3 else REFUSE).format(name=name, at=1024 + 4 * index)
            for index, name in enumerate(own)
        ]
        chance.shuffle(written)
        self.lines.append(
            MODULE.format(
                number=number,
                imports="",
                functions="".join(written),
                words="".join(f"{number}:{name[0]}." for name in own),
                other_words="".join(f"{number}!{name[0]}." for name in own),
                **named,
            )
        )
        instance = self.new("i")
        self.lines.append(f"(core instance {instance} (instantiate $m{number}))")
        exports = {
            name: ("memory", kind) for kind, name in named.items() if kind in ("memory", "other")
        }
        exports |= {
            name: ("func", kind) for kind, name in named.items() if kind not in ("memory", "other")
        }
        exports |= dict.fromkeys(own, ("func", "function"))
        for _ in range(chance.randrange(3)):
            instance, exports = self.put_together(instance, exports)
        for name, (sort, kind) in exports.items():
            entity = f'{instance} "{name}"'
            if chance.random() < 0.4:
                alias = self.new("a")
                self.lines.append(f"(alias core export {entity} (core {sort} {alias}))")
                entity = alias
                self.core.setdefault(f"{kind}{number}", []).append(alias)
            else:
                self.core.setdefault(f"{kind}{number}", []).append(entity)

    def put_together(
        self, instance: str, exports: dict[str, tuple[str, str]]
    ) -> tuple[str, dict[str, tuple[str, str]]]:
        """Write a core instance of another one's exports, in another order, with other names."""
        items = list(exports.items())
        self.chance.shuffle(items)
        fresh = self.names(len(items))
        together = self.new("i")
        parts = " ".join(
            f'(export "{new}" ({sort} {instance} "{old}"))'
            for new, (old, (sort, _)) in zip(fresh, items, strict=True)
        )
        self.lines.append(f"(core instance {together} {parts})")
        return together, {new: each for new, (_, each) in zip(fresh, items, strict=True)}

    def lift(self) -> str:
        chance = self.chance
        number = chance.choice(sorted({int(key[-1]) for key in self.core}))

        def one(*kinds: str) -> str:
            return chance.choice(self.core[f"{chance.choice(kinds)}{number}"])

        def core(sort: str, entity: str) -> str:
            return f"(core {sort} {entity})"

        function = self.new("f")
        post = (
            f"(post-return {core('func', one(*['post'] * 4, 'loud'))})"
            if chance.random() < 0.7
            else ""
        )
        encoding = "string-encoding=utf8" if chance.random() < 0.3 else ""
        options = [
            f"(memory {core('memory', one('memory', 'memory', 'other'))})",
            f"(realloc {core('func', one(*['realloc'] * 8, 'trap'))})",
            post,
            encoding,
        ]
        chance.shuffle(options)
        self.lines.append(
            f"(func {function} (type $transform)"
            f" (canon lift {core('func', one('function'))} {' '.join(options)}))"
        )
        return function

    def noise(self) -> None:
        """Write what nothing needs, but what takes indices."""
        text = self.chance.choice(
            (
                "(type (list u8))",
                '(core module (func (export "x")))',
                "(component)",
                '(type (func (param "a" u32)))',
                '(type (instance (export "b" (func))))',
                "(instance)",
                "(core instance)",
                '(import "x:y/n{0}" (instance (export "f" (func (param "z" string)))))',
                '(import "x:y/n{0}" (instance (export "t" (type (sub resource)))))',
                "(core type (func (param i32)))",
            )
        )
        self.lines.append(text.format(next(self.numbers)))

    def export(self, chosen: dict[str, str], functions: list[str]) -> None:
        """Write the exported instance: directly, or as what a nested component gives on."""
        chance = self.chance
        instance, forwarding = self.new("n"), self.new("c")
        items = list(chosen.items())
        chance.shuffle(items)
        if chance.random() < 0.5:
            parts = " ".join(f'(export "{name}" (func {function}))' for name, function in items)
            self.lines.append(f"(instance {instance} {parts})")
        else:
            # Further arguments that are not given on, and names that do not say what they are.
            extra = [("spare", chance.choice(functions))] if chance.random() < 0.5 else []
            given = [*items, *extra]
            chance.shuffle(given)
            type_ = (
                f"(type $p {PORT_MAP})"
                '(type $t (func (param "inputs" $p) (result (result $p (error string)))))'
            )
            imports = "".join(
                f'(import "import-{name}" (func ${name} (type $t)))' for name, _ in given
            )
            output_ports = "".join(f'(export "{name}" (func ${name}))' for name, _ in items)
            self.lines.append(f"(component {forwarding} {type_} {imports} {output_ports})")
            arguments = " ".join(
                f'(with "import-{name}" (func {function}))' for name, function in given
            )
            self.lines.append(f"(instance {instance} (instantiate {forwarding} {arguments}))")
        if chance.random() < 0.3:
            self.lines.append(f'(export "more" (func {chance.choice(functions)}))')
        self.lines.append(f'(export "{INTERFACE}" (instance {instance}))')


def damaged(chance: random.Random, component: bytes) -> bytes:
    """Change indices and other single bytes of a component, outside of its core modules."""
    places = [
        at
        for section in sections(component)
        if section.id not in (0, 1)
        for at in range(section.payload, section.end)
    ]
    data = bytearray(component)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.choice(places)
        data[at] = (data[at] + chance.choice((-1, 1, 1, 2, -2))) % 256
    return bytes(data)
