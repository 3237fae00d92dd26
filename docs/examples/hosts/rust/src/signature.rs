//! What a codec says of itself: the JSON object in its custom section `chonkle:signature`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::error::Context;
use wasmtime::{Result, bail, ensure};

/// Values of parameters, by port.
pub type Values = BTreeMap<String, Value>;
/// What is declared of a port. A field that it does not have is null.
pub type Port = Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Encode,
    Decode,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Signature {
    pub codec_id: String,
    pub kind: String,
    pub inputs: BTreeMap<String, Port>,
    pub outputs: BTreeMap<String, Port>,
    pub aliases: Value,
    pub encoded_size: Value,
    pub concurrency: usize,
    pub identity: Vec<Values>,
}

impl Signature {
    /// Reads the signature of a core module; `None` for a component.
    pub fn read(wasm: &[u8]) -> Result<Option<Self>> {
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => return Ok(None),
                Payload::CustomSection(section) if section.name() == "chonkle:signature" => found.push(section.data()),
                _ => {}
            }
        }
        let [data] = found[..] else { bail!("it has {} signatures, expected one", found.len()) };
        ensure!(data.len() <= 1 << 20, "its signature has more than 1 MiB");
        serde_json::from_slice(data).map(Some).context("its signature is malformed")
    }

    pub fn parameters(&self) -> impl Iterator<Item = (&String, &Port)> {
        self.inputs.iter().filter(|(_, port)| is_parameter(port))
    }

    /// Gives the outputs of a direction; a call must give those that are required.
    pub fn outputs(&self, direction: Direction) -> impl Iterator<Item = (&String, &Port)> {
        let is_decode = direction == Direction::Decode;
        let ports = if is_decode { &self.outputs } else { &self.inputs };
        ports.iter().filter(move |(_, port)| exists(port, direction) && (is_decode || !is_parameter(port)))
    }
}

pub fn exists(port: &Port, direction: Direction) -> bool {
    port[if direction == Direction::Encode { "decode_only" } else { "encode_only" }] != true
}

fn is_parameter(port: &Port) -> bool {
    port["parameter"].as_bool().unwrap_or(port["type"] != "bytes")
}

/// Gives a parameter's value for what a configuration has.
pub fn accept(port: &Port, given: &Value) -> Result<Value> {
    let value = match given.as_str() {
        Some(word) => port["values"].get(word).unwrap_or(given).clone(),
        None if port["json_text"] == true => given.to_string().into(),
        None => given.clone(),
    };
    let is_of_type = match port["type"].as_str() {
        Some("string" | "dtype_desc") => value.is_string(),
        Some("int") => value.is_i64(),
        Some("uint") => value.is_u64(),
        Some("float") => value.is_number(),
        Some("bool") => value.is_boolean(),
        Some("uint[]") => value.as_array().is_some_and(|items| items.iter().all(Value::is_u64)),
        _ => false,
    };
    ensure!(is_of_type, "expected a value of type `{}`, got {given}", port["type"].as_str().unwrap_or_default());
    let is_choice = port["choices"].as_array().is_none_or(|choices| choices.contains(&value));
    ensure!(is_choice, "expected one of {}, got {given}", port["choices"]);
    let number = value.as_f64().unwrap_or_default();
    let limit = match (port["minimum"].as_f64(), port["maximum"].as_f64()) {
        (Some(least), _) if number < least => &port["minimum"],
        (_, Some(most)) if number > most => &port["maximum"],
        _ => return Ok(value),
    };
    ensure!(port["clamp"] == true, "out of range, expected {limit}, got {given}");
    Ok(limit.clone())
}
