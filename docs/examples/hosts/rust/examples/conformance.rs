//! Runs test vectors of codecs: `conformance VECTORS.jsonl CODEC_DIR [TIMEOUT_S]`.
//!
//! Prints a line of JSON for each, and ends with 1 if any failed.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use base64::{Engine, engine::general_purpose::STANDARD};
use chonkle_host::{Codec, Direction, Host, Limits, open};
use serde::Deserialize;

type Error = Box<dyn std::error::Error>;

/// Ports, with their data in base64.
type Encoded = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Vector {
    codec_id: String,
    case: String,
    module: String,
    sha256: String,
    direction: String,
    inputs: Encoded,
    outputs: Option<Encoded>,
    then: Option<Then>,
}

/// What the other direction makes of the outputs, where these may differ.
#[derive(Deserialize)]
struct Then {
    inputs: Encoded,
    outputs: Encoded,
}

fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [vectors, codecs, timeout @ ..] = &arguments[..] else { Err("expected VECTORS.jsonl CODEC_DIR")? };
    let timeout = timeout.first().map(|text| text.parse().map(Duration::from_secs_f64)).transpose()?;
    let host = Host::new(Limits { timeout, ..Limits::default() })?;
    let mut opened = HashMap::new();
    let mut all_pass = true;
    for line in fs::read_to_string(vectors)?.lines() {
        let vector: Vector = serde_json::from_str(line)?;
        let key = (vector.module.clone(), vector.sha256.clone());
        let codec = opened.entry(key).or_insert_with(|| {
            let opened = open(format!("{codecs}/{}", vector.module).as_ref(), Some(&vector.sha256), &host);
            opened.map_err(|error| format!("{error:#}"))?.ok_or("it is a component".to_string())
        });
        let outcome = codec.as_ref().map_err(|error| error.clone().into()).and_then(|codec| check(codec, &vector));
        all_pass &= outcome.is_ok();
        let report = serde_json::json!({
            "host": "zarrs", "codec_id": vector.codec_id, "case": vector.case, "direction": vector.direction,
            "ok": outcome.is_ok(), "error": outcome.err().map(|error| error.to_string()),
        });
        println!("{report}");
    }
    Ok(if all_pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(codec: &Codec, vector: &Vector) -> Result<(), Error> {
    let (direction, other) = match vector.direction.as_str() {
        "encode" => (Direction::Encode, Direction::Decode),
        _ => (Direction::Decode, Direction::Encode),
    };
    let mut found = call(codec, direction, decoded(&vector.inputs)?)?;
    if let Some(then) = &vector.then {
        found.extend(decoded(&then.inputs)?);
        found = call(codec, other, found)?;
    }
    let expected = vector.then.as_ref().map(|then| &then.outputs).or(vector.outputs.as_ref());
    if found == decoded(expected.ok_or("no outputs")?)? { Ok(()) } else { Err("the outputs differ".into()) }
}

fn call(
    codec: &Codec, direction: Direction, inputs: BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let inputs: Vec<_> = inputs.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    let outputs = codec.call(direction, &inputs)?.into_iter();
    let is_declared = |name: &str| codec.signature.outputs(direction).any(|(declared, _)| declared == name);
    Ok(outputs.filter(|(name, _)| is_declared(name)).collect())
}

fn decoded(ports: &Encoded) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    ports.iter().map(|(name, text)| Ok((name.clone(), STANDARD.decode(text)?))).collect()
}
