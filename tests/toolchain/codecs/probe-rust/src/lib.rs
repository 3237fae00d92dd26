//! Decoding parses `bytes` as the type that `what` names and writes it out; encoding makes the kind
//! of output that `what` names.

use chonkle_codec::{Error, Inputs, Outputs, Transform};

struct Probe;

impl Transform for Probe {
    fn decode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error> {
        let what = inputs.string("what")?;
        match what.as_str() {
            "int" => {
                let value = inputs.int("bytes", i64::MIN, i64::MAX)?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "small" => {
                let value = inputs.or("bytes", 5, |inputs, name| inputs.int(name, -2, 9))?;
                outputs.write_all("bytes", &value.to_le_bytes())
            }
            "uint" => {
                let value = inputs.uint("bytes", u64::MAX)?;
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
            other => Err(Error::new(format_args!("unknown `what`: {other}"))),
        }
    }

    fn encode(inputs: &mut Inputs, outputs: &mut Outputs) -> Result<(), Error> {
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
            "two-in-place" => {
                outputs.hand_back("bytes", bytes)?;
                outputs.write_all("bytes", b"x")
            }
            "none" => Ok(()),
            "memory" => outputs.begin("bytes", 3 << 30).map(|_| ()),
            "too-large" => outputs.begin("bytes", u32::MAX as usize).map(|_| ()),
            _ => Err(Error::new(format_args!("-{}", "é".repeat(400)))),
        }
    }
}

chonkle_codec::export!(Probe);
