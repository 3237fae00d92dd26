//! Reads whole arrays with the codecs of zarrs and of chonkle: `bench ARRAYS_DIR CODEC_DIR [TIMEOUT_S]`.
//!
//! Prints a line of JSON for each array `<case>-<chunk_kib>.zarr`: medians of interleaved reads on one thread.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use chonkle_host::Limits;
use chonkle_zarrs::{Names, register};
use zarrs::array::codec::api::{CodecOptions, unregister_codec_v3};
use zarrs::array::{Array, ArrayBytes};
use zarrs::filesystem::FilesystemStore;

const REPEATS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [arrays, codecs, timeout @ ..] = &arguments[..] else { Err("expected ARRAYS_DIR CODEC_DIR [TIMEOUT_S]")? };
    let timeout = timeout.first().map(|text| text.parse().map(Duration::from_secs_f64)).transpose()?;
    let mut paths: Vec<_> =
        fs::read_dir(arrays)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "zarr"));
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (case, chunk_kib) = stem.rsplit_once('-').ok_or("expected <case>-<chunk_kib>.zarr")?;
        let open = || Ok::<_, Box<dyn Error>>(Array::open(Arc::new(FilesystemStore::new(&path)?), "/")?);
        let native = open()?;
        let handles = register(codecs.as_ref(), Names::Standard, Limits { timeout, ..Limits::default() })?;
        let chonkle = open()?;
        handles.iter().for_each(|handle| assert!(unregister_codec_v3(handle)));
        let (mut native_s, mut chonkle_s) = (Vec::new(), Vec::new());
        for _ in 0..=REPEATS {
            native_s.push(read_s(&native)?);
            chonkle_s.push(read_s(&chonkle)?);
        }
        let (native_s, chonkle_s) = (median(native_s), median(chonkle_s));
        let chunk_kib: u64 = chunk_kib.parse()?;
        let report = serde_json::json!({
            "host": "zarrs", "case": case, "chunk_kib": chunk_kib, "native_s": native_s, "chonkle_s": chonkle_s,
        });
        println!("{report}");
    }
    Ok(())
}

fn read_s(array: &Array<FilesystemStore>) -> Result<f64, Box<dyn Error>> {
    let options = CodecOptions::default().with_concurrent_target(1);
    let start = Instant::now();
    let _: ArrayBytes = array.retrieve_array_subset_opt(&array.subset_all(), &options)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Gives the median of all but the first, which warms up.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
