"""Everything that runs guests: core modules and components, through wasmtime."""
