//! Runs codecs of chonkle, one WebAssembly file each.
#![forbid(unsafe_code)]

mod formula;
mod guest;
mod signature;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::ensure;
use wasmtime::error::Context;

pub use formula::evaluate;
pub use guest::{Codec, Host, Limits, Ports, describe, recycle};
pub use signature::{Direction, Port, Signature, Values, accept, exists};
pub use wasmtime::Result;

/// Opens the core modules of a directory by their paths in it, which a `codecs.lock` must list if there is one.
pub fn open_directory(directory: &Path, host: &Host) -> Result<BTreeMap<String, Arc<Codec>>> {
    let lock = directory.join("codecs.lock");
    // Whatever else is there, such as a link to nothing, must not leave the files unchecked.
    let is_absent = fs::symlink_metadata(&lock).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    let digests = (!is_absent).then(|| read_digests(&lock).context("codecs.lock")).transpose()?;
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
                let codec = open(&path, expected, host).with_context(|| name.clone())?;
                codecs.extend(codec.map(|codec| (name, Arc::new(codec))));
            }
        }
    }
    Ok(codecs)
}

/// Opens a core module, of which the digest may be known; `None` for a component.
pub fn open(path: &Path, sha256: Option<&str>, host: &Host) -> Result<Option<Codec>> {
    let wasm = fs::read(path)?;
    let found: String = Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = sha256.unwrap_or(&found);
    ensure!(found == expected, "expected SHA-256 {expected}, got {found}");
    Codec::new(host, wasm)
}

/// Gives the SHA-256 of each file that a `codecs.lock` lists.
fn read_digests(path: &Path) -> Result<BTreeMap<String, String>> {
    let lock: toml::Table = fs::read_to_string(path)?.parse()?;
    ensure!(lock.get("version") == Some(&2.into()), "expected version 2");
    let codecs = lock.get("codecs").and_then(toml::Value::as_table).into_iter().flatten();
    let files = codecs.flat_map(|(_, codec)| [codec.get("core"), codec.get("component")]).flatten();
    let digest = |file: &toml::Value| Some((file.get("file")?.as_str()?.into(), file.get("sha256")?.as_str()?.into()));
    Ok(files.filter_map(digest).collect())
}
