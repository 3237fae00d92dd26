//! Codecs of chonkle, one WebAssembly file each, as codecs of zarrs.
#![forbid(unsafe_code)]

mod codec;

use std::path::Path;

use chonkle_host::{Host, Limits, Result, open_directory};
use zarrs::array::codec::api::{CodecRuntimePluginV3, CodecRuntimeRegistryHandleV3, register_codec_v3};
use zarrs::metadata::v3::MetadataV3;
use zarrs::plugin::PluginCreateError;

pub use codec::ChunkCodec;

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
        let own = format!("chonkle.{}", codec.signature.codec_id);
        let standard = codec.signature.aliases["zarr_v3"].as_array().cloned().unwrap_or_default();
        let is_known =
            move |name: &str| name == own || names == Names::Standard && standard.iter().any(|each| each == name);
        let create = move |metadata: &MetadataV3| {
            ChunkCodec::create(&codec, metadata).map_err(|failure| PluginCreateError::Other(failure.to_string()))
        };
        handles.push(register_codec_v3(CodecRuntimePluginV3::new(is_known, create)));
    }
    Ok(handles)
}
