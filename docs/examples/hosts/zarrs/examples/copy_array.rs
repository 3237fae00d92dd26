//! Copies a Zarr array with chonkle's codecs: `copy_array SOURCE TARGET CODEC_DIR [ROWS]`.
//!
//! The source may be written by zarr-python, and the target read by it. With ROWS, so many rows are read and written
//! at a time, whatever the chunks are.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, time::Duration};

use chonkle_host::Limits;
use chonkle_zarrs::{Names, register};
use zarrs::array::{Array, ArrayBytes, ArrayMetadataOptions, ArraySubset};
use zarrs::filesystem::FilesystemStore;

fn main() -> ExitCode {
    match copy() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn copy() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, target, codecs, rows @ ..] = &arguments[..] else { Err("expected SOURCE TARGET CODEC_DIR [ROWS]")? };
    let limits = Limits { timeout: Some(Duration::from_secs(60)), ..Limits::default() };
    register(codecs.as_ref(), Names::Standard, limits).map_err(|error| format!("{error:#}"))?;

    let source = Array::open(Arc::new(FilesystemStore::new(source)?), "/")?;
    let store = Arc::new(FilesystemStore::new(target)?);
    let target = source.builder().build(store, "/")?;
    target.store_metadata_opt(&ArrayMetadataOptions::default().with_include_zarrs_metadata(false))?;
    let rows = rows.first().map(|text| text.parse()).transpose()?;
    for part in parts(source.shape(), rows) {
        let data: ArrayBytes = source.retrieve_array_subset(&part)?;
        target.store_array_subset(&part, data)?;
    }
    Ok(())
}

/// Gives the array in bands of so many rows, or as a whole.
fn parts(shape: &[u64], rows: Option<u64>) -> Vec<ArraySubset> {
    let Some((rows, (count, others))) = rows.zip(shape.split_first()) else {
        return vec![ArraySubset::new_with_shape(shape.to_vec())];
    };
    let band = |first: u64| {
        let inner = others.iter().map(|extent| 0..*extent);
        ArraySubset::new_with_ranges(&[first..(first + rows).min(*count)].into_iter().chain(inner).collect::<Vec<_>>())
    };
    (0..*count).step_by(rows as usize).map(band).collect()
}
