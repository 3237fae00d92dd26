//! What a codec says of itself: the JSON object in its custom section `chonkle:signature`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::error::Context;
use wasmtime::{Result, bail, ensure};

use crate::codec::little_type;

/// Values of parameters, by port.
pub type Values = BTreeMap<String, Value>;

const SECTION: &str = "chonkle:signature";
const SECTION_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Encode,
    Decode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    BytesToBytes,
    ArrayToBytes,
    ArrayToArray,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Signature {
    pub codec_id: String,
    pub kind: Kind,
    pub inputs: BTreeMap<String, Port>,
    pub outputs: BTreeMap<String, Port>,
    pub aliases: BTreeMap<String, Vec<Value>>,
    pub encoded_size: EncodedSize,
    pub concurrency: usize,
    pub identity: Vec<Values>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EncodedSize {
    pub kind: String,
    pub formula: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Port {
    r#type: String,
    pub required: Option<bool>,
    pub default: Option<Value>,
    encode_only: bool,
    decode_only: bool,
    parameter: Option<bool>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    clamp: bool,
    choices: Vec<Value>,
    values: Values,
    pub from_array: Option<String>,
    json_text: bool,
    pub array: ArrayForm,
}

/// The array that a port `bytes` is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ArrayForm {
    pub dtype: Vec<String>,
    pub permuted_by: String,
}

impl Signature {
    /// Reads the signature of a core module; `None` for a component.
    pub fn read(wasm: &[u8]) -> Result<Option<Self>> {
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => return Ok(None),
                Payload::CustomSection(section) if section.name() == SECTION => found.push(section.data()),
                _ => {}
            }
        }
        let [data] = found[..] else { bail!("it has {} signatures, expected one", found.len()) };
        ensure!(data.len() <= SECTION_BYTES_MAX, "its signature has more than 1 MiB");
        let read: Self = serde_json::from_slice(data).context("its signature is malformed")?;
        ensure!(!read.codec_id.is_empty(), "its signature has no `codec_id`");
        Ok(Some(read))
    }

    pub fn parameters(&self) -> impl Iterator<Item = (&String, &Port)> {
        self.inputs.iter().filter(|(_, port)| port.is_parameter())
    }

    /// Gives the outputs of a direction; a call must give those that are required.
    pub fn outputs(&self, direction: Direction) -> impl Iterator<Item = (&String, &Port)> {
        let is_decode = direction == Direction::Decode;
        let ports = if is_decode { &self.outputs } else { &self.inputs };
        ports.iter().filter(move |(_, port)| port.exists(direction) && (is_decode || !port.is_parameter()))
    }

    /// Tells whether it maps one port `bytes` to another, as the codecs of a chunk do.
    pub fn is_of_chunks(&self) -> bool {
        let data = |ports: &BTreeMap<String, Port>| {
            ports.iter().filter(|(_, port)| !port.is_parameter()).map(|(name, _)| name).eq(["bytes"])
        };
        data(&self.inputs) && data(&self.outputs)
    }
}

impl Port {
    pub fn exists(&self, direction: Direction) -> bool {
        if direction == Direction::Encode { !self.decode_only } else { !self.encode_only }
    }

    pub fn is_parameter(&self) -> bool {
        self.parameter.unwrap_or(self.r#type != "bytes")
    }

    /// Tells whether both directions need a property of the array.
    pub fn is_from_array(&self) -> bool {
        self.from_array.is_some() && !self.encode_only
    }

    pub fn needs_value(&self) -> bool {
        self.required != Some(false) && self.default.is_none()
    }

    /// Gives the port's value for what a configuration has.
    pub fn accept(&self, given: &Value) -> Result<Value> {
        let value = match given {
            Value::String(word) if self.values.contains_key(word) => self.values[word].clone(),
            Value::String(text) if self.r#type == "dtype_desc" => little_type(text).into(),
            Value::String(_) => given.clone(),
            _ if self.json_text => given.to_string().into(),
            _ => given.clone(),
        };
        let is_of_type = match self.r#type.as_str() {
            "string" => value.is_string(),
            "int" => value.is_i64(),
            "uint" => value.is_u64(),
            "float" => value.is_number(),
            "bool" => value.is_boolean(),
            "uint[]" => value.as_array().is_some_and(|items| items.iter().all(Value::is_u64)),
            "dtype_desc" => value.is_string() || value.is_array(),
            _ => false,
        };
        ensure!(is_of_type, "expected a value of type `{}`, got {given}", self.r#type);
        let choices = Value::from_iter(self.choices.clone());
        ensure!(self.choices.is_empty() || self.choices.contains(&value), "expected one of {choices}, got {given}");
        let Some(number) = value.as_f64() else { return Ok(value) };
        let nearest = number.max(self.minimum.unwrap_or(number)).min(self.maximum.unwrap_or(number));
        ensure!(self.clamp || nearest == number, "out of range, expected {nearest}, got {given}");
        Ok(match self.r#type.as_str() {
            _ if nearest == number => value,
            "float" => nearest.into(),
            _ => (nearest as i64).into(),
        })
    }
}
