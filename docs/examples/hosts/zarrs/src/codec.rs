//! A codec with its configuration, as zarrs runs it.

use std::borrow::Cow;
use std::iter::once;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};

use chonkle_host::{Codec, Direction, Values, accept, describe, evaluate, exists, recycle};
use serde_json::{Value, json};
use zarrs::array::codec::BytesCodec;
use zarrs::array::codec::api::{
    self, ArrayBytesDecodeIntoTarget, ArrayPartialDecoderTraits, ArrayToArrayCodecTraits, ArrayToBytesCodecTraits,
    BytesRepresentation, CodecError, CodecMetadataOptions, CodecOptions, PartialDecoderCapability,
    PartialEncoderCapability, RecommendedConcurrency, decode_into_array_bytes_target,
};
use zarrs::array::{ArrayBytes, ArraySubset, ChunkShape, DataType, FillValue};
use zarrs::metadata::{Configuration, v2::DataTypeMetadataV2, v3::MetadataV3};
use zarrs::plugin::{ExtensionName, PluginCreateError, ZarrVersion};

#[cfg(target_endian = "big")]
compile_error!("codecs get elements as they are in memory, and expect them to be little-endian");

type Bytes<'a> = Cow<'a, [u8]>;
type Shape = [NonZeroU64];
type Result<T> = std::result::Result<T, CodecError>;

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
        let maps_bytes = |direction| codec.signature.outputs(direction).map(|(name, _)| name).eq(["bytes"]);
        if ![Direction::Encode, Direction::Decode].into_iter().all(maps_bytes) {
            return Err(made.refuse("it does not map one port `bytes` to another"));
        }
        let configuration = metadata.configuration().into_iter().flat_map(|all| all.iter());
        // Null stands for the default.
        for (name, given) in configuration.filter(|(name, given)| *name != "id" && !given.is_null()) {
            let port = codec.signature.parameters().find(|(each, _)| *each == name);
            let (_, port) = port.ok_or_else(|| made.refuse(format!("unknown parameter `{name}`")))?;
            let given = match given.as_str() {
                Some(text) if port["type"] == "dtype_desc" => &little_type(text).into(),
                _ => given,
            };
            let value = accept(port, given).map_err(|why| made.refuse(format!("parameter `{name}`: {why}")))?;
            made.values.insert(name.clone(), value);
        }
        Ok(match codec.signature.kind.as_str() {
            "array-to-array" => api::Codec::ArrayToArray(Arc::new(made)),
            "array-to-bytes" => api::Codec::ArrayToBytes(Arc::new(made)),
            "bytes-to-bytes" | "" => api::Codec::BytesToBytes(Arc::new(made)),
            other => return Err(made.refuse(format!("unknown kind `{other}`"))),
        })
    }

    fn refuse(&self, text: impl std::fmt::Display) -> CodecError {
        CodecError::Other(describe(self.metadata.name(), text))
    }

    /// Gives what is declared of the array that is the port `bytes`: decoded as an output, encoded as an input.
    fn declared(&self, of: Direction, property: &str) -> &Value {
        let signature = &self.codec.signature;
        let ports = if of == Direction::Decode { &signature.outputs } else { &signature.inputs };
        &ports["bytes"]["array"][property]
    }

    /// Gives the values of parameters for an array.
    fn values(&self, shape: &Shape, data_type: &DataType) -> Result<Values> {
        let (mut values, array) = (self.values.clone(), properties(shape, data_type));
        let mut expected = vec![(&self.declared(Direction::Decode, "dtype")[0], &array["dtype"])];
        for (name, port) in self.codec.signature.parameters() {
            let (property, found) = (&port["from_array"], &array[port["from_array"].as_str().unwrap_or_default()]);
            match self.values.get(name) {
                Some(given) if property == "dtype" => expected.push((given, found)),
                Some(given) if property == "byte_order" && array["scalarsize"] != 1 => expected.push((given, found)),
                None if !found.is_null() => drop(values.insert(name.clone(), found.clone())),
                _ => {}
            }
        }
        match expected.into_iter().find(|(expected, found)| !expected.is_null() && expected != found) {
            Some((expected, _)) => Err(self.refuse(format!("expected an array of {expected}, got {data_type}"))),
            None => Ok(values),
        }
    }

    fn value<'a>(&'a self, values: &'a Values, name: &str) -> Option<&'a Value> {
        values.get(name).or_else(|| self.codec.signature.inputs.get(name)?.get("default"))
    }

    fn is_identity(&self, values: &Values) -> bool {
        let holds = |(name, value): (&String, &Value)| self.value(values, name) == Some(value);
        self.codec.signature.identity.iter().any(|each| each.iter().all(holds))
    }

    /// Gives the first type that has a value, of a port and those that the encoded array lists after it.
    fn encoded_type<'a>(&'a self, values: &'a Values, port: Option<&'a str>) -> Option<&'a str> {
        let types = self.declared(Direction::Encode, "dtype").as_array().into_iter().flatten().flat_map(Value::as_str);
        let mut types = port.into_iter().chain(types.skip_while(|each| port.is_some_and(|port| *each != port)));
        types.find_map(|each| if is_type_string(each) { Some(each) } else { self.value(values, each)?.as_str() })
    }

    /// Gives the encoded size for a decoded one.
    fn representation(&self, values: &Values, decoded: BytesRepresentation) -> BytesRepresentation {
        let (least, most) = match decoded {
            _ if self.is_identity(values) => return decoded,
            BytesRepresentation::FixedSize(size) => (size, size),
            BytesRepresentation::BoundedSize(size) => (0, size),
            BytesRepresentation::UnboundedSize => return decoded,
        };
        let number = |number: i128| Some([number.into(); 2]);
        let port = |name: &str, is_size: bool| match name {
            _ if is_size => number(data_type(self.encoded_type(values, Some(name))?).ok()?.fixed_size()? as i128),
            "bytes" => Some([i128::from(least).into(), i128::from(most).into()]),
            _ => number(self.value(values, name)?.as_i64()?.into()),
        };
        let declared = &self.codec.signature.encoded_size;
        // zarrs allocates bounds of sizes: one that is far beyond the size of the chunk counts as none.
        let believed_max = most.saturating_mul(4).saturating_add(4096);
        match evaluate(declared["formula"].as_str().unwrap_or_default(), &port).filter(|size| *size <= believed_max) {
            Some(size) if declared["kind"] == "fixed" && least == most => BytesRepresentation::FixedSize(size),
            Some(size) => BytesRepresentation::BoundedSize(size),
            None => BytesRepresentation::UnboundedSize,
        }
    }

    /// Gives the size of a chunk.
    fn chunk_size(&self, shape: &Shape, data_type: &DataType) -> Result<BytesRepresentation> {
        let of_no_size = || self.refuse(format!("elements of type {data_type} have no fixed size"));
        let item_bytes = data_type.fixed_size().ok_or_else(of_no_size)? as u64;
        let size = shape.iter().try_fold(item_bytes, |size, extent| size.checked_mul(extent.get()));
        let too_large = || self.refuse(format!("a chunk of {shape:?} elements is too large"));
        size.map(BytesRepresentation::FixedSize).ok_or_else(too_large)
    }

    /// Runs the codec on a chunk of an array.
    fn run_array<'a>(
        &self, direction: Direction, data: Bytes<'a>, shape: &Shape, data_type: &DataType,
    ) -> Result<Bytes<'a>> {
        self.run(direction, data, &self.values(shape, data_type)?, self.chunk_size(shape, data_type)?)
    }

    /// Runs the codec, and checks the size of the result.
    fn run<'a>(
        &self, direction: Direction, data: Bytes<'a>, values: &Values, decoded: BytesRepresentation,
    ) -> Result<Bytes<'a>> {
        let result = if self.is_identity(values) { data } else { self.call(direction, data, values)?.into() };
        let (size, is_encode) = (result.len() as u64, direction == Direction::Encode);
        let expected = if is_encode { self.representation(values, decoded) } else { decoded };
        let expected = match expected {
            BytesRepresentation::FixedSize(fixed) if size != fixed => fixed.to_string(),
            // A bound of what is decoded is that of our codecs, and others may have written the chunk.
            BytesRepresentation::BoundedSize(most) if is_encode && size > most => format!("at most {most}"),
            _ => return Ok(result),
        };
        Err(self.refuse(format!("gave {size} bytes, expected {expected}")))
    }

    fn call(&self, direction: Direction, data: Bytes<'_>, values: &Values) -> Result<Vec<u8>> {
        let mut texts = Vec::new();
        for (name, port) in self.codec.signature.parameters().filter(|(_, port)| exists(port, direction)) {
            let is_of_both = [Direction::Encode, Direction::Decode].into_iter().all(|each| exists(port, each));
            let is_optional = port["required"] == false || !port["default"].is_null();
            match values.get(name) {
                Some(value) => texts.push((name.as_str(), value.to_string())),
                None if is_optional && !(port["from_array"].is_string() && is_of_both) => {}
                None => return Err(self.refuse(format!("parameter `{name}` has no value"))),
            }
        }
        let parameters = texts.iter().map(|(name, text)| (*name, text.as_bytes()));
        let inputs: Vec<_> = parameters.chain(once(("bytes", &*data))).collect();
        let called = self.codec.call(direction, &inputs).map_err(|why| CodecError::Other(why.to_string()));
        let output = called?.into_iter().find(|(name, _)| name == "bytes").map(|(_, data)| data);
        recycle(data);
        Ok(output.unwrap_or_default())
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
        Ok(RecommendedConcurrency::new_maximum(self.codec.signature.concurrency.max(1)))
    }

    fn encoded_representation(&self, decoded: &BytesRepresentation) -> BytesRepresentation {
        self.representation(&self.values, *decoded)
    }

    fn encode<'a>(&self, decoded: Bytes<'a>, _: &CodecOptions) -> Result<Bytes<'a>> {
        let size = BytesRepresentation::FixedSize(decoded.len() as u64);
        self.run(Direction::Encode, decoded, &self.values, size)
    }

    fn decode<'a>(&self, encoded: Bytes<'a>, decoded: &BytesRepresentation, _: &CodecOptions) -> Result<Bytes<'a>> {
        self.run(Direction::Decode, encoded, &self.values, *decoded)
    }
}

impl api::ArrayCodecTraits for ChunkCodec {
    fn recommended_concurrency(&self, _: &Shape, _: &DataType) -> Result<RecommendedConcurrency> {
        Ok(RecommendedConcurrency::new_maximum(self.codec.signature.concurrency.max(1)))
    }
}

impl ArrayToBytesCodecTraits for ChunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn ArrayToBytesCodecTraits> {
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
        self.run_array(Direction::Encode, decoded.into_fixed()?, shape, data_type)
    }

    fn decode<'a>(
        &self, encoded: Bytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        self.run_array(Direction::Decode, encoded, shape, data_type).map(ArrayBytes::from)
    }

    fn decode_into(
        &self, encoded: Bytes<'_>, shape: &Shape, data_type: &DataType, _: &FillValue,
        target: ArrayBytesDecodeIntoTarget<'_>, _: &CodecOptions,
    ) -> Result<()> {
        let decoded = ArrayBytes::from(self.run_array(Direction::Decode, encoded, shape, data_type)?);
        decode_into_array_bytes_target(&decoded, target)?;
        recycle(decoded.into_fixed()?);
        Ok(())
    }
}

impl ArrayToArrayCodecTraits for ChunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn ArrayToArrayCodecTraits> {
        self
    }

    fn encoded_data_type(&self, decoded: &DataType) -> Result<DataType> {
        let values = self.values(&[], decoded)?;
        self.encoded_type(&values, None)
            .map_or(Ok(decoded.clone()), |found| data_type(found).map_err(|why| self.refuse(why)))
    }

    fn encoded_fill_value(&self, data_type: &DataType, fill_value: &FillValue) -> Result<FillValue> {
        if self.declared(Direction::Encode, "permuted_by").is_string() {
            return Ok(fill_value.clone());
        }
        let one = self.run_array(Direction::Encode, fill_value.as_ne_bytes().into(), &[NonZeroU64::MIN], data_type)?;
        // An array of another number of elements has no fill value of its own.
        let size = self.encoded_data_type(data_type)?.fixed_size().unwrap_or_default();
        Ok(FillValue::new(if one.len() == size { one.into_owned() } else { vec![0; size] }))
    }

    fn encoded_shape(&self, decoded: &Shape) -> Result<ChunkShape> {
        if let Some(port) = self.declared(Direction::Encode, "permuted_by").as_str() {
            let order = self.values.get(port).cloned().unwrap_or_default();
            let order: Vec<usize> = serde_json::from_value(order).unwrap_or_default();
            let is_order = order.len() == decoded.len() && (0..order.len()).all(|axis| order.contains(&axis));
            let of_axes = || self.refuse(format!("`{port}` is no order of {} axes", decoded.len()));
            return is_order.then(|| order.iter().map(|axis| decoded[*axis]).collect()).ok_or_else(of_axes);
        }
        // zarrs does not tell the data type, without which only the signature says how many elements there will be.
        let Some(name) = self.declared(Direction::Decode, "dtype")[0].as_str() else { return Ok(decoded.to_vec()) };
        let decoded_type = data_type(name).map_err(|why| self.refuse(why))?;
        let size = self.representation(&self.values(decoded, &decoded_type)?, self.chunk_size(decoded, &decoded_type)?);
        let encoded_type = self.encoded_data_type(&decoded_type)?;
        if let (BytesRepresentation::FixedSize(bytes), Some(each)) = (size, encoded_type.fixed_size())
            && size != self.chunk_size(decoded, &encoded_type)?
        {
            let count = NonZeroU64::new(bytes / each as u64);
            return count.map(|count| vec![count]).ok_or_else(|| self.refuse("no elements"));
        }
        Ok(decoded.to_vec())
    }

    fn decoded_shape(&self, _: &Shape) -> Result<Option<ChunkShape>> {
        Ok(None)
    }

    fn encode<'a>(
        &self, decoded: ArrayBytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        self.run_array(Direction::Encode, decoded.into_fixed()?, shape, data_type).map(ArrayBytes::from)
    }

    fn decode<'a>(
        &self, encoded: ArrayBytes<'a>, shape: &Shape, data_type: &DataType, _: &FillValue, _: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        self.run_array(Direction::Decode, encoded.into_fixed()?, shape, data_type).map(ArrayBytes::from)
    }

    /// Decodes the whole chunk for any part of it.
    fn partial_decoder(
        self: Arc<Self>, encoded: Arc<dyn ArrayPartialDecoderTraits>, shape: &Shape, data_type: &DataType,
        fill_value: &FillValue, options: &CodecOptions,
    ) -> Result<Arc<dyn ArrayPartialDecoderTraits>> {
        let mut decoded = None;
        if encoded.exists()? {
            let extents = self.encoded_shape(shape)?.iter().map(|extent| extent.get()).collect();
            let encoded = encoded.partial_decode(&ArraySubset::new_with_shape(extents), options)?.into_fixed()?;
            decoded = Some(self.run_array(Direction::Decode, encoded, shape, data_type)?.into_owned());
        }
        let native = Arc::new(BytesCodec::little());
        native.partial_decoder(Arc::new(Mutex::new(decoded)), shape, data_type, fill_value, options)
    }
}

fn is_type_string(text: &str) -> bool {
    text.starts_with(['<', '>', '|'])
}

/// Gives a type string or a name of a type as NumPy's type string with little-endian elements.
pub fn little_type(text: &str) -> Option<String> {
    if is_type_string(text) {
        return Some(text.replacen('>', "<", 1));
    }
    DataType::from_metadata(&MetadataV3::new(text)).ok()?.name_v2().map(Cow::into_owned)
}

/// Gives a type that a signature or a configuration names, if zarrs may well allocate its elements.
fn data_type(type_string: &str) -> std::result::Result<DataType, PluginCreateError> {
    let found = DataType::from_metadata(&DataTypeMetadataV2::Simple(type_string.to_owned()))?;
    let is_fit = found.fixed_size().is_none_or(|size| (1..=1 << 16).contains(&size));
    is_fit.then_some(found).ok_or_else(|| format!("elements of type {type_string} are empty or too large").into())
}

/// Gives what `from_array` may name; null where the array does not determine it.
fn properties(shape: &Shape, data_type: &DataType) -> Value {
    let (text, size) = (data_type.name_v2(), data_type.fixed_size());
    let scalar_size = match text.as_ref().and_then(|text| text.as_bytes().get(1)) {
        Some(b'c') => size.map(|size| size / 2),
        Some(b'S' | b'V') => Some(1),
        _ => size,
    };
    let extents: Vec<u64> = shape.iter().map(|extent| extent.get()).collect();
    json!({
        "dtype": text, "itemsize": size, "scalarsize": scalar_size, "byte_order": "little", "shape": extents,
        "shape[-1]": extents.last(),
    })
}
