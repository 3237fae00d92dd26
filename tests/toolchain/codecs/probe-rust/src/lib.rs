//! Decoding parses `bytes` as the type that `what` names and writes it out; encoding makes the kind
//! of output that `what` names.

use chonkle_codec::{Error, Inputs, Outputs, Result, Transform};

struct Probe;

impl Transform for Probe {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let what = inputs.string("what")?;
        match what.as_str() {
            "int" => {
                let value = inputs.int("bytes", i64::MIN..=i64::MAX)?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "small" => {
                let value = inputs.int("bytes", -2..=9)?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "uint" => {
                let value = inputs.uint("bytes", 0..=u64::MAX)?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "width" => {
                let value = inputs.uint("bytes", 1..=300)?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "float" => outputs.write_all("bytes", &inputs.float("bytes")?.to_le_bytes()),
            "bool" => outputs.write_all("bytes", &[inputs.bool("bytes")?.into()]),
            "string" => outputs.write_all("bytes", inputs.string("bytes")?.as_bytes()),
            "uint[]" => {
                let values = inputs.uint_list("bytes")?;
                let mut output = outputs.begin("bytes", 0)?;
                for value in values {
                    output.extend(&value.to_le_bytes())?;
                }
                Ok(())
            }
            "choice" => outputs.write_all("bytes", &[inputs.choice("bytes", &ORDERS)? as u8]),
            "dtype" => give_type(inputs, outputs, "biufcmMSUV"),
            "integer dtype" => give_type(inputs, outputs, "iu"),
            "defaults" => give_defaults(inputs, outputs),
            "optional" => outputs.write_all("bytes", &[inputs.has("optional").into()]),
            "missing" => inputs.int("optional", 0..=9).map(|_| ()),
            "prefix" => inputs.int("lev", 0..=9).map(|_| ()),
            "items" => {
                let items = inputs.take_items("bytes", 4)?;
                assert!(inputs.bytes("bytes").is_err());
                outputs.hand_back("bytes", items)
            }
            "end" => {
                inputs.end("bytes", 3)?;
                outputs.write_all("bytes", b"end")
            }
            other => Err(Error::new(format_args!("unknown `what`: {other}"))),
        }
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result {
        let what = inputs.string("what")?;
        let mut bytes = inputs.take("bytes")?;
        match what.as_str() {
            "several" => {
                outputs.write_all("first", b"one")?;
                let mut second = outputs.begin("second", 0)?;
                for &byte in bytes.iter() {
                    second.extend(&[byte])?;
                }
                outputs.begin("third", 0).map(|_| ())
            }
            "longer-name" => outputs.hand_back("a name longer than that of the input", bytes),
            "shorter" => {
                bytes.truncate(bytes.len() / 2);
                outputs.hand_back("bytes", bytes)
            }
            "rest" => {
                bytes.drop_front(bytes.len() / 2);
                outputs.hand_back("bytes", bytes)
            }
            "two-in-place" => {
                outputs.hand_back("bytes", bytes)?;
                outputs.write_all("bytes", b"x")
            }
            "grow" => grow(outputs, 100_000, false),
            "grow-too-much" => grow(outputs, 100_000, true),
            "grow-all" => grow(outputs, usize::MAX, true),
            "none" => Ok(()),
            "memory" => outputs.begin("bytes", 3 << 30).map(|_| ()),
            "almost-4-gib" => outputs.begin("bytes", u32::MAX as usize - 40).map(|_| ()),
            "too-large" => outputs.begin("bytes", u32::MAX as usize).map(|_| ()),
            _ => Err(Error::new(format_args!("-{}", "é".repeat(400)))),
        }
    }
}

const ORDERS: [&str; 3] = ["little", "big", "none"];

fn give_type(inputs: &Inputs, outputs: &mut Outputs, kinds: &str) -> Result {
    let dtype = inputs.dtype("bytes", kinds)?;
    let mut output = outputs.begin("bytes", 0)?;
    for number in [dtype.kind.into(), dtype.is_big_endian.into(), dtype.size as u32] {
        output.extend(&u32::to_le_bytes(number))?;
    }
    Ok(())
}

/// The ports that have defaults, one behind the other.
fn give_defaults(inputs: &Inputs, outputs: &mut Outputs) -> Result {
    let mut output = outputs.begin("bytes", 0)?;
    output.extend(&inputs.int("level", -9..=9)?.to_le_bytes())?;
    output.extend(&inputs.uint("seed", 0..=u64::MAX)?.to_le_bytes())?;
    output.extend(&inputs.float("scale")?.to_le_bytes())?;
    for size in inputs.uint_list("shape")? {
        output.extend(&size.to_le_bytes())?;
    }
    let dtype = inputs.dtype("dtype", "iu")?;
    let order = inputs.choice("order", &ORDERS)?;
    output.extend(&[order as u8, dtype.size as u8, inputs.bool("strict")?.into()])?;
    output.extend(inputs.string("text")?.as_bytes())
}

/// Lets an output grow to its bound, each part filled with its number; or further, until it fails.
fn grow(outputs: &mut Outputs, bound: usize, is_too_much: bool) -> Result {
    let mut output = outputs.begin("bytes", 0)?;
    let mut part = 0;
    while output.len() < bound || is_too_much {
        output.grow(bound).map_err(|error| match bound {
            usize::MAX => Error::new(format_args!("grew to {} bytes", output.len())),
            _ => error,
        })?;
        let room = output.spare().len();
        output.extend_zeroed(room)?.fill(part);
        part += 1;
    }
    Ok(())
}

chonkle_codec::export!(Probe);
