"""The build side of chonkle: a codec's source goes in, a core module and a component come out.

documents   files of strangers, read; files of our own, written
recipe      codec.toml and signature.json, parsed and checked
signature_fields   what of a signature means nothing
staging     copies of sources, which builds read
tools       the compilers and wasm-tools: found, or missing with words
environment what compilers see of this process's environment
compile_c   C sources to a linked module, through Zig's compiler
compile_rust   a Rust crate to a linked module, through Cargo
functions   the functions of a linked module, by name
compact     a linked module, its numbers written short
wrap        module to component; strip, validate, embed the signature
make        both artifacts of one codec
fingerprint what a build depends on, as one digest
lock        codecs.lock: what was built from what
compare     what is not up to date, and why
shipped     what chonkle ships under the same name
build       all of it, for the codecs that are not up to date
reproduce   all of it twice, from clean
difference  where two built files differ, in words
guest       a built codec, called in the plainest way
vectors     golden vectors, and whether a codec keeps them
verify      whether a codec is what it says it is, and stands what it gets
sdk         what codecs are written with: found, and copied for editors
project     a new codec, out of templates
cli         the commands that all this adds to `chonkle`
"""
