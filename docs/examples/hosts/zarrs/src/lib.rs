//! Codecs of chonkle, one WebAssembly file each, as codecs of zarrs.
#![forbid(unsafe_code)]

mod codec;
mod formula;
mod guest;
mod signature;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use wasmtime::error::Context;
use wasmtime::{Result, ensure};
use zarrs::array::codec::api::{CodecRuntimePluginV3, CodecRuntimeRegistryHandleV3, register_codec_v3};
use zarrs::metadata::v3::MetadataV3;
use zarrs::plugin::PluginCreateError;

pub use codec::ChunkCodec;
pub use guest::{Codec, Host, Limits, Ports};
pub use signature::{Direction, Signature};

const LOCK: &str = "codecs.lock";
const LOCK_VERSION: u64 = 2;

/// Under which names arrays find the codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `chonkle.<codec_id>`.
    Own,
    /// Also those of Zarr 3 that the signatures declare, instead of the codecs of zarrs.
    Standard,
}

/// Registers the codecs of a directory with zarrs, whose `unregister_codec_v3` takes them back.
///
/// Of two with one name, zarrs takes the first.
pub fn register(directory: &Path, names: Names, limits: Limits) -> Result<Vec<CodecRuntimeRegistryHandleV3>> {
    let mut handles = Vec::new();
    for codec in open_directory(directory, &Host::new(limits)?)?.into_values() {
        let mut known = vec![format!("chonkle.{}", codec.signature.codec_id)];
        if names == Names::Standard {
            let declared = codec.signature.aliases.get("zarr_v3").into_iter().flatten();
            known.extend(declared.filter_map(|name| name.as_str().map(str::to_owned)));
        }
        let matches = move |name: &str| known.iter().any(|each| each == name);
        let create = move |metadata: &MetadataV3| {
            ChunkCodec::create(&codec, metadata).map_err(|failure| PluginCreateError::Other(failure.to_string()))
        };
        handles.push(register_codec_v3(CodecRuntimePluginV3::new(matches, create)));
    }
    Ok(handles)
}

/// Opens the core modules of a directory by their paths in it, which a `codecs.lock` must list if there is one.
pub fn open_directory(directory: &Path, host: &Host) -> Result<BTreeMap<String, Arc<Codec>>> {
    let lock = directory.join(LOCK);
    let digests = lock.exists().then(|| read_digests(&lock).context(LOCK)).transpose()?;
    let (mut codecs, mut folders) = (BTreeMap::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wasm") {
                let parts = path.strip_prefix(directory)?.iter().map(|part| part.to_string_lossy());
                let name = parts.collect::<Vec<_>>().join("/");
                let expected = digests.as_ref().map(|all| all.get(&name).map_or("none", String::as_str));
                let wasm = read_file(&path, expected).with_context(|| name.clone())?;
                let codec = Codec::new(host, wasm).with_context(|| name.clone())?;
                codecs.extend(codec.map(|codec| (name, Arc::new(codec))));
            }
        }
    }
    Ok(codecs)
}

/// Opens a core module.
pub fn open(path: &Path, sha256: Option<&str>, host: &Host) -> Result<Codec> {
    Codec::new(host, read_file(path, sha256)?)?.context("it is a component")
}

fn read_file(path: &Path, sha256: Option<&str>) -> Result<Vec<u8>> {
    let wasm = fs::read(path)?;
    let found: String = Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        sha256.is_none_or(|expected| found == expected),
        "expected SHA-256 {}, got {found}",
        sha256.unwrap_or_default()
    );
    Ok(wasm)
}

/// Gives the SHA-256 of each file that a `codecs.lock` lists.
fn read_digests(lock: &Path) -> Result<BTreeMap<String, String>> {
    let Lock { version, codecs } = toml::from_str(&fs::read_to_string(lock)?)?;
    ensure!(version == LOCK_VERSION, "expected version {LOCK_VERSION}, got {version}");
    let files = codecs.into_values().flat_map(|each| [each.core, each.component]);
    Ok(files.map(|each| (each.file, each.sha256)).collect())
}

#[derive(Deserialize)]
struct Lock {
    version: u64,
    codecs: BTreeMap<String, LockedCodec>,
}

#[derive(Deserialize)]
struct LockedCodec {
    core: LockedFile,
    component: LockedFile,
}

#[derive(Deserialize)]
struct LockedFile {
    file: String,
    sha256: String,
}
