//! Write a codec for chonkle in Rust.
//!
//! An author implements [`Transform`] and names the type in [`export!`], and that is all:
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
//! Which ports there are, of which types, and what is assumed of a scalar that a call leaves out,
//! stands in the codec's `signature.json`, and only there: of `"level": {"type": "int", "required":
//! false, "default": 1}`, `inputs.int("level", -1..=9)?` gives 1 when the call has none.
//!
//! Inputs come from strangers: any port may be missing, empty, or hold anything. Everything here
//! checks what it reads and says in an [`Error`] what is wrong with it, and a codec checks what it
//! computes from that: `isize` holds the length of any port, but not every product, nor a number
//! that an input holds. A panic is a trap, which loses the words and the instance; whatever an input
//! holds, a codec gets to `Ok` or `Err`. That includes memory: allocate with `try_reserve`. An
//! adversary who breaks a codec reaches its memory and no further; but data of the caller's next
//! calls stands in that memory.
//!
//! One call at a time runs in an instance. What stays from one call to the next, in a `static`, may
//! not change what a call gives.
//!
//! The feature `core-abi` or `component-abi` chooses what [`export!`] exports; the toolchain turns
//! on one after the other.

// Without an ABI nobody drives a call, and the core ABI alone needs less than the component's; the
// public part still type-checks for editors.
#![cfg_attr(not(feature = "component-abi"), allow(dead_code))]

mod block;
mod buffer;
mod dtype;
mod error;
mod float;
mod inputs;
mod json;
mod outputs;

#[cfg(feature = "component-abi")]
#[doc(hidden)]
pub mod component_abi;
#[cfg(feature = "core-abi")]
#[doc(hidden)]
pub mod core_abi;

pub use buffer::Buffer;
pub use dtype::Dtype;
pub use error::Error;
pub use inputs::Inputs;
pub use outputs::{Output, Outputs};

/// What the functions of the SDK and a transform return: by itself, nothing or an [`Error`].
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// A codec: both directions between the encoded form and the decoded one.
pub trait Transform {
    /// Turns the decoded form into the encoded one.
    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result;

    /// Turns the encoded form into the decoded one.
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result;
}

/// Either direction of a [`Transform`].
type Run = fn(&mut Inputs, &mut Outputs) -> Result;

/// Makes a [`Transform`] the codec of this crate.
#[macro_export]
macro_rules! export {
    ($codec:ty) => {
        // Editors choose no ABI: without this, they would take the codec for unused.
        const _: () = {
            let _ = <$codec as $crate::Transform>::encode;
            let _ = <$codec as $crate::Transform>::decode;
        };
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
