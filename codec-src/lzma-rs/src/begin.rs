//! How a further stream begins.

use crate::liblzma::Container;

const XZ: &[u8] = b"\xFD7zXZ\0";
/// Zeros that may follow an xz stream (The .xz File Format 1.2.1, section 2.2).
const PADDING: &[u8] = &[0; 4];
/// LZMA-alone: the bytes of the header, and the bound of its first byte. A zero follows the header.
const ALONE_HEADER: usize = 13;
const ALONE_PROPERTIES: u8 = 9 * 5 * 5;

/// Removes the padding of an xz stream.
pub fn without_padding(container: Container, mut rest: &[u8]) -> &[u8] {
    if matches!(container, Container::Xz | Container::Auto) {
        while let Some(behind) = rest.strip_prefix(PADDING) {
            rest = behind;
        }
    }
    rest
}

/// Tells whether data begin like an xz stream, or the first bytes of one.
pub fn is_xz(container: Container, data: &[u8]) -> bool {
    matches!(container, Container::Xz | Container::Auto)
        && data.iter().zip(XZ).all(|(byte, wanted)| byte == wanted)
}

/// Tells whether data can be a stream, or the first bytes of one.
pub fn is_possible(container: Container, data: &[u8]) -> bool {
    data.iter().any(|byte| *byte != 0)
        && match container {
            Container::Xz => is_xz(container, data),
            Container::Alone => is_alone(data),
            Container::Auto => is_xz(container, data) || is_alone(data),
            Container::Raw => true,
        }
}

fn is_alone(data: &[u8]) -> bool {
    data.first().is_some_and(|byte| *byte < ALONE_PROPERTIES) && data.get(ALONE_HEADER) == Some(&0)
}
