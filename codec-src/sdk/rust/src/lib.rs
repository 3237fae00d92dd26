//! Write a codec for chonkle in Rust.
//!
//! An author implements [`Transform`] and names the type in [`export!`], and that is all:
//!
//! ```
//! use chonkle_codec::{Error, Inputs, Outputs, Transform};
//!
//! struct Identity;
//!
//! impl Transform for Identity {
//!     fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error> {
//!         outputs.hand_back("bytes", inputs.take("bytes")?)
//!     }
//!
//!     fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error> {
//!         Self::encode(inputs, outputs)
//!     }
//! }
//!
//! chonkle_codec::export!(Identity);
//! ```
//!
//! Inputs come from strangers: everything here checks what it reads and says in an [`Error`] what
//! is wrong with it. A panic is a trap, which loses the words and the instance; whatever an input
//! holds, a codec should get to `Ok` or `Err`. That includes memory: allocate with `try_reserve`.
//!
//! The feature `core-abi` or `component-abi` chooses what [`export!`] exports.

// Without an ABI nobody drives a call; the public part still type-checks for editors.
#![cfg_attr(not(any(feature = "core-abi", feature = "component-abi")), allow(dead_code))]

mod block;
mod error;
mod inputs;
mod json;
mod outputs;

#[cfg(feature = "component-abi")]
#[doc(hidden)]
pub mod component_abi;
#[cfg(feature = "core-abi")]
#[doc(hidden)]
pub mod core_abi;

pub use error::Error;
pub use inputs::{Buffer, Inputs};
pub use outputs::{Output, Outputs};

/// A codec: both directions between the encoded form and the decoded one.
///
/// Which ports there are, and of which types, stands in the codec's `signature.json`.
pub trait Transform {
    /// Turns the decoded form into the encoded one.
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error>;

    /// Turns the encoded form into the decoded one.
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error>;
}

/// Either direction of a [`Transform`].
type Run = fn(&mut Inputs, &mut Outputs) -> Result<(), Error>;

/// Makes a [`Transform`] the codec of this crate.
#[macro_export]
macro_rules! export {
    ($codec:ty) => {
        $crate::export_core_abi!($codec);
        $crate::export_component_abi!($codec);
    };
}

#[cfg(not(feature = "core-abi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_core_abi {
    ($codec:ty) => {};
}

#[cfg(not(feature = "component-abi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! export_component_abi {
    ($codec:ty) => {};
}

/// Something of which a module has one, as an instance runs one call at a time.
struct Single<T>(core::cell::UnsafeCell<T>);

// SAFETY: WebAssembly without threads; nothing here is shared between threads.
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
