/* Execute a sequence at the end of the output. The arguments are values: with addresses of the
 * loop's variables, LLVM would keep those in memory. Returns the literals after the sequence;
 * `size` is set to its size or an error. */
static FORCE_NOINLINE const BYTE *
exec_sequence_end(BYTE *op, BYTE *oend, size_t literals_size, size_t match_size, size_t offset,
                  const BYTE *literals, const BYTE *literals_end, const BYTE *prefix,
                  const BYTE *virtual_start, const BYTE *dictionary_end, size_t *size)
{
    const seq_t sequence = {literals_size, match_size, offset};
    *size = ZSTD_execSequenceEnd(op, oend, sequence, &literals, literals_end, prefix,
                                 virtual_start, dictionary_end);
    return literals;
}

