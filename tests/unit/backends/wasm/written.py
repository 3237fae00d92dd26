"""Components written as text, each around one core module."""

import wasmtime

# A component around one core module. `$decode` and `$encode` get `{rows, count}` and give the
# address of `{u8 discriminant, u32 pointer, u32 length}`; the one below gives its input back.
SKELETON = """
(component
  {imports}
  (core module $code
    {core_imports}
    (memory (export "memory") {memory})
    (global $next (mut i32) (i32.const 4096))
    (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $start i32)
      {realloc})
    (func (export "encode") (param $rows i32) (param $count i32) (result i32) {echo})
    (func (export "decode") (param $rows i32) (param $count i32) (result i32) {decode})
    (func (export "post") (param i32) {post})
    (data (i32.const 1024) "words of a guest\\n\\1b[0m\\ff"))
  (core instance $main (instantiate $code {arguments}))
  (type $port-map (list (tuple string (list u8))))
  (type $result (result $port-map (error string)))
  (func $encode (param "inputs" $port-map) (result $result)
    (canon lift (core func $main "encode") (memory (core memory $main "memory"))
      (realloc (core func $main "realloc")) (post-return (core func $main "post"))))
  (func $decode (param "inputs" $port-map) (result $result)
    (canon lift (core func $main "decode") (memory (core memory $main "memory"))
      (realloc (core func $main "realloc")) (post-return (core func $main "post"))))
  (instance $transform (export "encode" (func $encode)) (export "decode" (func $decode)))
  (export "chonkle:codec/transform@0.1.0" (instance $transform)))
"""
# Moves on, aligned, and grows the memory when it has to.
BUMP = """
  (local.set $start (i32.and (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
                             (i32.sub (i32.const 0) (local.get 2))))
  (global.set $next (i32.add (local.get $start) (local.get 3)))
  (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
    (then (drop (memory.grow (i32.add (i32.const 1)
            (i32.div_u (local.get 3) (i32.const 65536)))))))
  (local.get $start)
"""
ECHO = """
  (i32.store8 (i32.const 16) (i32.const 0))
  (i32.store (i32.const 20) (local.get $rows))
  (i32.store (i32.const 24) (local.get $count))
  (i32.const 16)
"""
POST = "(global.set $next (i32.const 4096))"


def result(discriminant: int, pointer: int, length: int, *, at: int = 16) -> str:
    """Write the body of a transform that returns this result."""
    return f"""
      (i32.store8 (i32.const {at}) (i32.const {discriminant}))
      (i32.store (i32.const {at + 4}) (i32.const {pointer}))
      (i32.store (i32.const {at + 8}) (i32.const {length}))
      (i32.const {at})
    """


def component(text: str = SKELETON, **parts: str) -> bytes:
    """Assemble a component that echoes, unless told otherwise."""
    usual = {
        "imports": "", "core_imports": "", "memory": "1", "realloc": BUMP, "echo": ECHO,
        "decode": ECHO, "post": POST, "arguments": "",
    }  # fmt: skip
    return bytes(wasmtime.wat2wasm(text.format(**{**usual, **parts})))


def one_row(name: int, name_size: int, data: int, data_size: int) -> str:
    """Write the body of a transform that returns one row of its own making."""
    stores = "".join(
        f"(i32.store (i32.const {64 + 4 * index}) (i32.const {value}))"
        for index, value in enumerate((name, name_size, data, data_size))
    )
    return stores + result(0, 64, 1)
