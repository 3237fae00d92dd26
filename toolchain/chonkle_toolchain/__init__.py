"""The build side of chonkle: a codec's source goes in, a core module and a component come out.

documents   reading untrusted files, writing our own
abi         the two ABIs and their exports
recipe      codec.toml and signature.json, parsed and checked
signature_fields   fields of a signature that mean nothing
staging     copies of sources, which builds read
tools       the compilers and wasm-tools, found or missing; install gets them
environment the environment of compilers
compile_c   C sources to linked modules, through Zig's compiler
compile_rust   a Rust crate to linked modules, through Cargo
functions   the functions of a linked module, by name; reactor drops an empty `_initialize`
wrap        module to component; strip, validate, embed the signature
make        both artifacts of one codec
fingerprint what a build depends on, as one digest
codecs_lock codecs.lock: what was built from what
compare     what is not up to date, and why
shipped     what chonkle ships under the same name
build       building the codecs that are not up to date
reproduce   building twice from clean, and difference: where two files differ
direct_call calling a built codec directly through wasmtime
vectors     golden vectors, and whether a codec keeps them
verify      whether a codec does what it says, also with malformed input
sdk         the SDK for codecs: found, and copied for editors
project     a new codec, from templates
publish, attachments   a codec in a registry, with its vectors and provenance
cli         the commands that this adds to `chonkle`
"""
