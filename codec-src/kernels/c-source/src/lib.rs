//! Finds the sources of a crate, for build scripts that compile the C in it with their own flags.
//!
//! Cargo.lock pins the version and checksum of the crate. A kernel depends on it for a target that
//! does not exist, so that Cargo does not build it:
//!
//! ```toml
//! [target.'cfg(any())'.dependencies]
//! lz4-sys = "1.11"
//! ```

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of a package in Cargo.lock; Cargo downloads it if needed.
///
/// # Panics
///
/// When there is no such package: a panic fails the build script.
pub fn folder_of(package: &str) -> PathBuf {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    // Another version of the package must be compiled again.
    let lock = here
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|lock| lock.exists())
        .expect("Cargo.lock in a folder above: this crate is built as a part of a codec");
    println!("cargo::rerun-if-changed={}", lock.display());
    let output = Command::new(variable("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .current_dir(here)
        .output()
        .expect("Cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| {
            Path::new(&rest[..rest.find('"')?].replace("\\\\", "\\")).parent().map(Path::to_owned)
        })
        .find(|folder| is_of(folder, package))
        .unwrap_or_else(|| {
            panic!("no package {package}: {}", String::from_utf8_lossy(&output.stderr))
        })
}

/// Tells whether a folder is that of a package: `lz4-sys-1.11.1+lz4-1.10.0`, or `lz4-sys` from
/// `cargo vendor`.
fn is_of(folder: &Path, package: &str) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(rest) = name.strip_prefix(package) else { return false };
    rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("no {name}: this is for build scripts"))
}
