//! A standalone file, written page by page: pco's own writer keeps the whole file in memory, and
//! traps when that is out.

use std::io::{self, ErrorKind, Write};

use chonkle_codec::{Error, Output, Result};
use pco::ChunkConfig;
use pco::data_types::Number;
use pco::errors::PcoError;
use pco::standalone::{FileCompressor, guarantee};

use crate::memory;

/// Appends a file of equal pages; the numbers are little-endian and not aligned.
pub fn write_pages<T: Number>(
    decoded: &[u8],
    page_most: usize,
    config: &ChunkConfig,
    output: &mut Output,
) -> Result {
    let count = decoded.len() / size_of::<T>();
    let pages = count.div_ceil(page_most);
    let mut numbers: Vec<T> = Vec::new();
    let longest = count.div_ceil(pages.max(1));
    let size = longest.saturating_mul(size_of::<T>());
    numbers.try_reserve_exact(longest).map_err(|_| Error::out_of_memory(size))?;

    let file = FileCompressor::default().with_n_hint(count);
    memory::expect(0)?;
    file.write_header(Sink(output)).map_err(failure)?;
    let mut rest = decoded;
    for page in 0..pages {
        let length = count / pages + usize::from(page < count % pages);
        let (bytes, behind) = rest.split_at(length * size_of::<T>());
        rest = behind;
        // SAFETY: there is room, and any bytes are valid numbers. Numbers must be aligned, and a
        // port's bytes are not.
        unsafe {
            numbers.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            numbers.set_len(length);
        }
        memory::expect(memory::choosing::<T>(length, config))?;
        let mut chunk = file.chunk_compressor(&numbers, config).map_err(failure)?;
        output.reserve(guarantee::chunk_size::<T::L>(length))?;
        memory::expect(memory::writing::<T>(length, chunk.meta()))?;
        chunk.write(Sink(output)).map_err(failure)?;
    }
    memory::expect(0)?;
    file.write_footer(Sink(output)).map_err(failure)?;
    Ok(())
}

fn failure(failure: PcoError) -> Error {
    match failure.kind {
        pco::errors::ErrorKind::Io(_) => "out of memory for the output".into(),
        _ => Error::new(format_args!("port `bytes`: not encoded: {failure}")),
    }
}

/// Appends what pco writes to the output; fails only when memory is out.
struct Sink<'a, 'b>(&'a mut Output<'b>);

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend(bytes).map_err(|_| ErrorKind::OutOfMemory)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
