//! Write a codec for chonkle in Rust.
//!
//! A codec implements [`Transform`] and passes the type to [`export!`]:
//!
//! ```
//! use chonkle_codec::{Inputs, Outputs, Result, Transform};
//!
//! struct Identity;
//!
//! impl Transform for Identity {
//!     fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
//!         outputs.hand_back("bytes", inputs.take("bytes")?)
//!     }
//!
//!     fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
//!         Self::encode(inputs, outputs)
//!     }
//! }
//!
//! chonkle_codec::export!(Identity);
//! ```
//!
//! The codec's `signature.json` declares the ports: their names, types and defaults. With
//! `"level": {"type": "int", "required": false, "default": 1}` in it,
//! `inputs.int("level", -1..=9)?` returns 1 when the call has no such port.
//!
//! Inputs are untrusted: any port may be missing, be empty or hold any bytes. The SDK checks what
//! it reads and returns an [`Error`]; the codec checks what it computes from that. The length of a
//! port fits an `isize`; a product of lengths may not, and neither may a number that an input
//! contains. Every call ends in reasonable time with `Ok` or `Err`, never with a panic: that is a
//! trap, which loses the message and the instance. So allocate with `try_reserve`. A compromised
//! codec is confined to its memory, but that memory holds the data of later calls, too.
//!
//! An instance runs one call at a time. State kept between calls, in a `static`, must not change
//! results.
//!
//! [`export!`] defines the functions of both ABIs, on WebAssembly alone. The toolchain links the
//! compiled crate once for each ABI and exports what belongs to it.

// Elsewhere, no ABI calls these modules; the public part still type-checks and can be tested.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod block;
mod buffer;
mod dtype;
mod error;
mod float;
mod inputs;
mod json;
mod outputs;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component_abi;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod core_abi;

pub use buffer::Buffer;
pub use dtype::Dtype;
pub use error::Error;
pub use inputs::Inputs;
pub use outputs::{Output, Outputs};

/// The result of the SDK's functions and of a transform.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// A codec: both directions between the encoded form and the decoded form.
///
/// A direction returns `Ok` when at least one output exists and all are complete.
pub trait Transform {
    /// Turns the decoded form into the encoded form.
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result;

    /// Turns the encoded form into the decoded form.
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result;
}

/// Either direction of a [`Transform`].
type Run = fn(&mut Inputs, &mut Outputs) -> Result;

/// Makes a [`Transform`] the codec of this crate.
#[macro_export]
macro_rules! export {
    ($codec:ty) => {
        // Elsewhere than on WebAssembly, the codec would be reported as unused.
        const _: () = {
            let _ = <$codec as $crate::Transform>::encode;
            let _ = <$codec as $crate::Transform>::decode;
        };
        #[cfg(target_family = "wasm")]
        $crate::export_core_abi!($codec);
        #[cfg(target_family = "wasm")]
        $crate::export_component_abi!($codec);
    };
}

/// A global value; an instance runs one call at a time.
struct Single<T>(core::cell::UnsafeCell<T>);

// SAFETY: the module has no threads.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// No other reference to the value may be alive.
    #[allow(clippy::mut_from_ref)]
    unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}
