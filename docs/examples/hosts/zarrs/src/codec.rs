//! A codec with its configuration, as zarrs runs it.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use num_rational::BigRational;
use serde_json::Value;
use zarrs::array::codec::api::{
    self, ArrayPartialDecoderTraits, ArrayToArrayCodecTraits, BytesRepresentation, CodecError, CodecMetadataOptions,
    CodecOptions, PartialDecoderCapability, PartialEncoderCapability, RecommendedConcurrency,
};
use zarrs::array::{ArrayBytes, ArraySubset, ChunkShape, DataType, FillValue, Indexer};
use zarrs::metadata::{Configuration, v2::DataTypeMetadataV2, v3::MetadataV3};
use zarrs::plugin::{ExtensionName, PluginCreateError, ZarrVersion};
use zarrs::storage::StorageError;

use crate::formula::evaluate;
use crate::guest::Codec;
use crate::signature::{ArrayForm, Direction, Kind, Values};

#[cfg(target_endian = "big")]
compile_error!("codecs get elements as they are in memory, and expect them to be little-endian");

type Bytes<'a> = Cow<'a, [u8]>;
type Shape = [NonZeroU64];
type Result<T> = std::result::Result<T, CodecError>;

/// zarrs allocates bounds of sizes: one that is far beyond the size of the chunk counts as none.
const BOUND_FACTOR_MAX: u64 = 4;

/// A codec with a configuration.
#[derive(Debug)]
pub struct ChunkCodec {
    codec: Arc<Codec>,
    metadata: MetadataV3,
    values: Values,
}

impl ChunkCodec {
    /// Checks a configuration against the signature of the codec.
    pub fn create(codec: &Arc<Codec>, metadata: &MetadataV3) -> Result<api::Codec> {
        let mut made = Self { codec: codec.clone(), metadata: metadata.clone(), values: Values::new() };
        if !codec.signature.is_of_chunks() {
            return Err(made.refuse("it does not map one port `bytes` to another".into()));
        }
        let configuration = metadata.configuration().into_iter().flat_map(|all| all.iter());
        for (name, given) in configuration.filter(|(name, _)| *name != "id") {
            let port = codec.signature.inputs.get(name).filter(|port| port.is_parameter());
            let port = port.ok_or_else(|| made.refuse(format!("unknown parameter `{name}`")))?;
            // Null stands for the default.
            if !given.is_null() {
                let value = port.accept(given).map_err(|why| made.refuse(format!("parameter `{name}`: {why}")))?;
                made.values.insert(name.clone(), value);
            }
        }
        for (name, port) in codec.signature.parameters() {
            // zarrs tells codecs of bytes nothing about the array.
            if codec.signature.kind == Kind::BytesToBytes && port.is_from_array() && !made.values.contains_key(name) {
                return Err(made.refuse(format!("parameter `{name}` has no value")));
            }
        }
        Ok(match codec.signature.kind {
            Kind::ArrayToArray => api::Codec::ArrayToArray(Arc::new(made)),
            Kind::ArrayToBytes => api::Codec::ArrayToBytes(Arc::new(made)),
            Kind::BytesToBytes => api::Codec::BytesToBytes(Arc::new(made)),
        })
    }

    fn refuse(&self, text: String) -> CodecError {
        CodecError::Other(format!("codec `{}`: {text}", self.metadata.name()))
    }

    /// Gives the type of decoded elements, where the signature says it.
    fn declared_type(&self) -> Option<DataType> {
        let declared = self.codec.signature.outputs["bytes"].array.dtype.first()?;
        data_type(declared).ok()
    }

    fn encoded_form(&self) -> &ArrayForm {
        &self.codec.signature.inputs["bytes"].array
    }

    /// Gives the values of parameters for a chunk.
    fn values(&self, shape: &Shape, data_type: &DataType) -> Result<Values> {
        let mut values = self.values.clone();
        let mut expected = self.declared_type().as_ref().and_then(type_string);
        for (name, port) in self.codec.signature.parameters() {
            match port.from_array.as_deref() {
                Some("dtype") if values.contains_key(name) => expected = values[name].as_str().map(str::to_owned),
                Some(what) if !values.contains_key(name) => {
                    values.extend(property(shape, data_type, what).map(|value| (name.clone(), value)));
                }
                _ => {}
            }
        }
        let found = type_string(data_type);
        match expected.filter(|expected| Some(expected) != found.as_ref()) {
            Some(expected) => Err(self.refuse(format!("expected an array of `{expected}`, got {data_type}"))),
            None => Ok(values),
        }
    }

    fn value<'a>(&'a self, values: &'a Values, name: &str) -> Option<&'a Value> {
        values.get(name).or_else(|| self.codec.signature.inputs.get(name)?.default.as_ref())
    }

    fn is_identity(&self, values: &Values) -> bool {
        let holds = |(name, value): (&String, &Value)| self.value(values, name) == Some(value);
        self.codec.signature.identity.iter().any(|each| each.iter().all(holds))
    }

    /// Gives the first type in a list of type strings and ports that has a value.
    fn first_type<'a>(&'a self, values: &'a Values, mut listed: impl Iterator<Item = &'a String>) -> Option<&'a str> {
        listed.find_map(|each| if is_type_string(each) { Some(&**each) } else { self.value(values, each)?.as_str() })
    }

    /// Gives the result of the formula for any size in a range.
    fn encoded_size(&self, values: &Values, least: u64, most: u64) -> Option<u64> {
        let both = |number: BigRational| (number.clone(), number);
        let whole = |number: u64| BigRational::from_integer(number.into());
        evaluate(&self.codec.signature.encoded_size.formula, &|name, is_size| match (name, self.value(values, name)) {
            (_, Some(Value::String(text))) if is_size => item_bytes(text).map(whole).map(both),
            (_, None) if is_size => {
                let next = self.encoded_form().dtype.iter().skip_while(|each| *each != name);
                item_bytes(self.first_type(values, next)?).map(whole).map(both)
            }
            ("bytes", _) => Some((whole(least), whole(most))),
            (_, value) => BigRational::from_float(value?.as_f64()?).map(both),
        })
    }

    /// Gives the encoded size for a decoded one.
    fn representation(&self, values: &Values, decoded: BytesRepresentation) -> BytesRepresentation {
        let (least, most) = match decoded {
            BytesRepresentation::FixedSize(size) => (size, size),
            BytesRepresentation::BoundedSize(size) => (0, size),
            BytesRepresentation::UnboundedSize => return decoded,
        };
        let is_fixed = self.codec.signature.encoded_size.kind == "fixed" && least == most;
        let believed_max = most.saturating_mul(BOUND_FACTOR_MAX).saturating_add(4096);
        match self.encoded_size(values, least, most).filter(|size| *size <= believed_max) {
            _ if self.is_identity(values) => decoded,
            Some(size) if is_fixed => BytesRepresentation::FixedSize(size),
            Some(size) => BytesRepresentation::BoundedSize(size),
            None => BytesRepresentation::UnboundedSize,
        }
    }

    /// Gives the size of a chunk.
    fn chunk_size(&self, shape: &Shape, data_type: &DataType) -> Result<BytesRepresentation> {
        let of_no_size = || self.refuse(format!("elements of type {data_type} have no fixed size"));
        let item_bytes = data_type.fixed_size().ok_or_else(of_no_size)? as u64;
        Ok(BytesRepresentation::FixedSize(shape.iter().fold(item_bytes, |size, extent| size * extent.get())))
    }

    /// Runs the codec, and checks the size of the result.
    fn run<'a>(
        &self, direction: Direction, data: Bytes<'a>, values: &Values, expected: BytesRepresentation,
    ) -> Result<Bytes<'a>> {
        if self.is_identity(values) {
            return self.check_size(data, expected);
        }
        let mut texts = Vec::new();
        for (name, port) in self.codec.signature.parameters().filter(|(_, port)| port.exists(direction)) {
            match values.get(name) {
                Some(value) => texts.push((name, value.to_string())),
                None if port.needs_value() => return Err(self.refuse(format!("parameter `{name}` has no value"))),
                None => {}
            }
        }
        let parameters = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
        let inputs: Vec<_> = parameters.chain([("bytes", &*data)]).collect();
        let called = self.codec.call(direction, &inputs).map_err(|why| CodecError::Other(why.to_string()));
        let output = called?.into_iter().find(|(name, _)| name == "bytes").map(|(_, data)| data);
        self.check_size(output.unwrap_or_default().into(), expected)
    }

    fn check_size<'a>(&self, data: Bytes<'a>, expected: BytesRepresentation) -> Result<Bytes<'a>> {
        let size = data.len() as u64;
        let expected = match expected {
            BytesRepresentation::FixedSize(fixed) if size != fixed => fixed.to_string(),
            BytesRepresentation::BoundedSize(most) if size > most => format!("at most {most}"),
            _ => return Ok(data),
        };
        Err(self.refuse(format!("gave {size} bytes, expected {expected}")))
    }

    fn concurrency(&self) -> RecommendedConcurrency {
        RecommendedConcurrency::new_maximum(self.codec.signature.concurrency.max(1))
    }

    /// Gives the axes of a decoded array in the order of the encoded one.
    fn order(&self, rank: usize) -> Result<Vec<usize>> {
        let port = &self.encoded_form().permuted_by;
        let items = self.values.get(port).and_then(Value::as_array).into_iter().flatten();
        let order: Vec<usize> = items.filter_map(|axis| axis.as_u64()?.try_into().ok()).collect();
        let is_order = order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
        is_order.then_some(order).ok_or_else(|| self.refuse(format!("`{port}` is no order of {rank} axes")))
    }
}

impl ExtensionName for ChunkCodec {
    fn name(&self, _: ZarrVersion) -> Option<Cow<'static, str>> {
        Some(self.metadata.name().to_owned().into())
    }
}

impl api::CodecTraits for ChunkCodec {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn configuration(&self, _: ZarrVersion, _: &CodecMetadataOptions) -> Option<Configuration> {
        Some(self.metadata.configuration().cloned().unwrap_or_default())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        PartialDecoderCapability { partial_read: false, partial_decode: false }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl api::BytesToBytesCodecTraits for ChunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn api::BytesToBytesCodecTraits> {
        self
    }

    fn recommended_concurrency(&self, _: &BytesRepresentation) -> Result<RecommendedConcurrency> {
        Ok(self.concurrency())
    }

    fn encoded_representation(&self, decoded: &BytesRepresentation) -> BytesRepresentation {
        self.representation(&self.values, *decoded)
    }

    fn encode<'a>(&self, decoded: Bytes<'a>, _: &CodecOptions) -> Result<Bytes<'a>> {
        let expected = self.representation(&self.values, BytesRepresentation::FixedSize(decoded.len() as u64));
        self.run(Direction::Encode, decoded, &self.values, expected)
    }

    fn decode<'a>(&self, encoded: Bytes<'a>, decoded: &BytesRepresentation, _: &CodecOptions) -> Result<Bytes<'a>> {
        // A bound is that of our codecs, and others may have written the chunk.
        let expected = match decoded {
            BytesRepresentation::FixedSize(_) => *decoded,
            _ => BytesRepresentation::UnboundedSize,
        };
        self.run(Direction::Decode, encoded, &self.values, expected)
    }
}

impl api::ArrayCodecTraits for ChunkCodec {
    fn recommended_concurrency(&self, _: &Shape, _: &DataType) -> Result<RecommendedConcurrency> {
        Ok(self.concurrency())
    }
}

impl api::ArrayToBytesCodecTraits for ChunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn api::ArrayToBytesCodecTraits> {
        self
    }

    fn encoded_representation(
        &self, shape: &Shape, data_type: &DataType, _: &FillValue,
    ) -> Result<BytesRepresentation> {
        Ok(self.representation(&self.values(shape, data_type)?, self.chunk_size(shape, data_type)?))
    }

    fn encode<'a>(
        &self, decoded: ArrayBytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<Bytes<'a>> {
        let values = self.values(shape, data_type)?;
        let expected = self.representation(&values, self.chunk_size(shape, data_type)?);
        self.run(Direction::Encode, decoded.into_fixed()?, &values, expected)
    }

    fn decode<'a>(
        &self, encoded: Bytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        let (values, expected) = (self.values(shape, data_type)?, self.chunk_size(shape, data_type)?);
        self.run(Direction::Decode, encoded, &values, expected).map(ArrayBytes::from)
    }
}

impl ArrayToArrayCodecTraits for ChunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn ArrayToArrayCodecTraits> {
        self
    }

    fn encoded_data_type(&self, decoded: &DataType) -> Result<DataType> {
        let values = self.values(&[], decoded)?;
        let found = self.first_type(&values, self.encoded_form().dtype.iter()).map(str::to_owned);
        match found {
            Some(text) if type_string(decoded).as_ref() != Some(&text) => {
                data_type(&text).map_err(|why| self.refuse(why.to_string()))
            }
            _ => Ok(decoded.clone()),
        }
    }

    fn encoded_fill_value(&self, data_type: &DataType, fill_value: &FillValue) -> Result<FillValue> {
        if !self.encoded_form().permuted_by.is_empty() {
            return Ok(fill_value.clone());
        }
        let values = self.values(&[NonZeroU64::MIN], data_type)?;
        let encoded =
            self.run(Direction::Encode, fill_value.as_ne_bytes().into(), &values, BytesRepresentation::UnboundedSize)?;
        // An array of another number of elements has no fill value of its own.
        let size = self.encoded_data_type(data_type)?.fixed_size().unwrap_or_default();
        Ok(FillValue::new(if encoded.len() == size { encoded.into_owned() } else { vec![0; size] }))
    }

    fn encoded_shape(&self, decoded: &Shape) -> Result<ChunkShape> {
        if !self.encoded_form().permuted_by.is_empty() {
            return Ok(self.order(decoded.len())?.into_iter().map(|axis| decoded[axis]).collect());
        }
        // zarrs does not tell the data type, without which only the signature says how many elements there will be.
        let Some(data_type) = self.declared_type() else { return Ok(decoded.to_vec()) };
        let values = self.values(decoded, &data_type)?;
        let size = self.representation(&values, self.chunk_size(decoded, &data_type)?).size().unwrap_or_default();
        let encoded_type = self.encoded_data_type(&data_type)?;
        if self.chunk_size(decoded, &encoded_type)?.size() == Some(size) {
            return Ok(decoded.to_vec());
        }
        let count = NonZeroU64::new(size / encoded_type.fixed_size().unwrap_or(1) as u64);
        Ok(vec![count.ok_or_else(|| self.refuse("no elements".into()))?])
    }

    fn decoded_shape(&self, encoded: &Shape) -> Result<Option<ChunkShape>> {
        let is_equal = self.encoded_form().permuted_by.is_empty() && self.declared_type().is_none();
        Ok(is_equal.then(|| encoded.to_vec()))
    }

    fn encode<'a>(
        &self, decoded: ArrayBytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        let values = self.values(shape, data_type)?;
        let expected = self.chunk_size(&self.encoded_shape(shape)?, &self.encoded_data_type(data_type)?)?;
        self.run(Direction::Encode, decoded.into_fixed()?, &values, expected).map(ArrayBytes::from)
    }

    fn decode<'a>(
        &self, encoded: ArrayBytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        let (values, expected) = (self.values(shape, data_type)?, self.chunk_size(shape, data_type)?);
        self.run(Direction::Decode, encoded.into_fixed()?, &values, expected).map(ArrayBytes::from)
    }

    fn partial_decoder(
        self: Arc<Self>, encoded: Arc<dyn ArrayPartialDecoderTraits>, shape: &Shape, data_type: &DataType,
        fill_value: &FillValue, _: &CodecOptions,
    ) -> Result<Arc<dyn ArrayPartialDecoderTraits>> {
        let (shape, data_type, fill_value) = (shape.to_vec(), data_type.clone(), fill_value.clone());
        Ok(Arc::new(WholeChunk { codec: self, encoded, shape, data_type, fill_value }))
    }
}

/// Decodes the whole chunk for any part of it.
struct WholeChunk {
    codec: Arc<ChunkCodec>,
    encoded: Arc<dyn ArrayPartialDecoderTraits>,
    shape: ChunkShape,
    data_type: DataType,
    fill_value: FillValue,
}

impl ArrayPartialDecoderTraits for WholeChunk {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn exists(&self) -> std::result::Result<bool, StorageError> {
        self.encoded.exists()
    }

    fn size_held(&self) -> usize {
        self.encoded.size_held()
    }

    fn supports_partial_decode(&self) -> bool {
        false
    }

    fn partial_decode(&self, part: &dyn Indexer, options: &CodecOptions) -> Result<ArrayBytes<'_>> {
        let Self { codec, encoded, shape, data_type, fill_value } = self;
        if !encoded.exists()? {
            return Ok(ArrayBytes::new_fill_value(data_type, part.len(), fill_value)?);
        }
        let extents = |shape: &Shape| shape.iter().map(|extent| extent.get()).collect::<Vec<_>>();
        let whole = ArraySubset::new_with_shape(extents(&codec.encoded_shape(shape)?));
        let encoded = encoded.partial_decode(&whole, options)?;
        let decoded = ArrayToArrayCodecTraits::decode(&**codec, encoded, shape, data_type, fill_value, options)?;
        Ok(decoded.extract_array_subset(part, &extents(shape), data_type)?.into_owned())
    }
}

fn is_type_string(text: &str) -> bool {
    text.starts_with(['<', '>', '|'])
}

/// Gives a data type as NumPy's type string, with little-endian elements.
fn type_string(data_type: &DataType) -> Option<String> {
    data_type.name_v2().map(Cow::into_owned)
}

/// Gives a type string or a name of a type as a type string with little-endian elements.
pub fn little_type(text: &str) -> Option<String> {
    if is_type_string(text) {
        return Some(text.replacen('>', "<", 1));
    }
    type_string(&DataType::from_metadata(&MetadataV3::new(text)).ok()?)
}

fn data_type(type_string: &str) -> std::result::Result<DataType, PluginCreateError> {
    DataType::from_metadata(&DataTypeMetadataV2::Simple(type_string.to_owned()))
}

/// Gives the bytes of an element.
fn item_bytes(type_string: &str) -> Option<u64> {
    let count: u64 = type_string.get(2..)?.split('[').next()?.parse().ok()?;
    count.checked_mul(if type_string[1..].starts_with('U') { 4 } else { 1 })
}

/// Gives what `from_array` names; `None` where the array does not have it.
fn property(shape: &Shape, data_type: &DataType, name: &str) -> Option<Value> {
    let (text, size) = (type_string(data_type), data_type.fixed_size()?);
    let kind = text.as_ref().and_then(|text| text.as_bytes().get(1));
    Some(match (name, kind) {
        ("dtype", _) => text?.into(),
        ("scalarsize", Some(b'c')) => (size / 2).into(),
        ("scalarsize", Some(b'U')) => 4.into(),
        ("scalarsize", Some(b'S' | b'V')) => 1.into(),
        ("itemsize" | "scalarsize", _) => size.into(),
        ("shape", _) => shape.iter().map(|extent| extent.get()).collect(),
        ("shape[-1]", _) => shape.last()?.get().into(),
        _ => return None,
    })
}
