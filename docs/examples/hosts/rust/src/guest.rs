//! Runs core modules: the core ABI, instances that are used again, and limits.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Write;
use std::ops::Range;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use std::{fmt, thread};

use wasmtime::error::Context;
use wasmtime::{Config, Engine, Error, Instance, Memory, Module, Result, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime::{Trap, TypedFunc, bail, ensure};

use crate::signature::{Direction, Signature};

/// Data of ports, by name.
pub type Ports = Vec<(String, Vec<u8>)>;

/// How the text of a codec begins that has not enough memory.
const OUT_OF_MEMORY: &str = "out of memory";
const TICK: Duration = Duration::from_millis(10);
const PORTS_MAX: u32 = 256;
const WORDS_BYTES_MAX: usize = 4096;
/// Of a thread.
const SPARE_MAX: usize = 4;
/// Of the memories of a codec's idle instances together.
const IDLE_BYTES_MAX: usize = 256 << 20;

/// What one call may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub memory_bytes: usize,
    pub output_bytes: usize,
    /// If it is set, codecs are slower by up to 20 %.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, output_bytes: 1 << 30, timeout: None }
    }
}

/// Compiles codecs, and runs them within limits.
#[derive(Clone)]
pub struct Host {
    engine: Engine,
    limits: Limits,
}

impl Host {
    /// Makes an engine; with a timeout, a thread advances its clock as long as it exists.
    pub fn new(limits: Limits) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_memory64(false).wasm_multi_memory(false).wasm_backtrace_max_frames(None);
        let engine = Engine::new(config.epoch_interruption(limits.timeout.is_some()))?;
        let clock = engine.weak();
        let tick = move || {
            while let Some(engine) = clock.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        };
        limits.timeout.map(|_| thread::spawn(tick));
        Ok(Self { engine, limits })
    }

    fn set_deadline(&self, store: &mut Store<StoreLimits>) {
        // One more tick, because the current one may end immediately.
        let ticks = self.limits.timeout.map(|timeout| timeout.as_millis().div_ceil(TICK.as_millis()) + 1);
        store.set_epoch_deadline(ticks.and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(u32::MAX).into());
    }
}

/// A core module and its idle instances; threads share it.
pub struct Codec {
    pub signature: Signature,
    host: Host,
    wasm: Vec<u8>,
    module: OnceLock<Module>,
    idle: Mutex<Vec<Guest>>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.signature.fmt(formatter)
    }
}

impl Codec {
    /// Reads a core module, which is compiled when it is called first; `None` for a component.
    pub fn new(host: &Host, wasm: Vec<u8>) -> Result<Option<Self>> {
        let signature = Signature::read(&wasm)?;
        let (host, module, idle) = (host.clone(), OnceLock::new(), Mutex::default());
        Ok(signature.map(|signature| Self { signature, host, wasm, module, idle }))
    }

    /// Runs a function of the codec, in an idle instance if there is one.
    pub fn call(&self, direction: Direction, inputs: &[(&str, &[u8])]) -> Result<Ports> {
        let idle = self.idle.lock().expect("no holder panics").pop();
        let outcome = match idle.map(|guest| self.run(guest, direction, inputs)) {
            // Earlier calls may have filled its memory, so that a new one repeats the call.
            Some(Err(failure)) if failure.to_string().starts_with(OUT_OF_MEMORY) => None,
            outcome => outcome,
        };
        let outcome = outcome.unwrap_or_else(|| self.run(self.start()?, direction, inputs));
        outcome.map_err(|failure| {
            let is_late = matches!(failure.downcast_ref(), Some(Trap::Interrupt));
            let why = if is_late { "it ran longer than its timeout".into() } else { failure.root_cause().to_string() };
            Error::msg(describe(&self.signature.codec_id, why))
        })
    }

    fn start(&self) -> Result<Guest> {
        if self.module.get().is_none() {
            // If another thread was faster, its module stays.
            let _ = self.module.set(Module::new(&self.host.engine, &self.wasm)?);
        }
        Guest::start(&self.host, self.module.wait())
    }

    /// Runs a call in an instance, which is used again if the call succeeds.
    fn run(&self, mut guest: Guest, direction: Direction, inputs: &[(&str, &[u8])]) -> Result<Ports> {
        self.host.set_deadline(&mut guest.store);
        let ports = guest.call(direction, inputs, &self.host.limits)?;
        for (name, port) in self.signature.outputs(direction) {
            let is_given = port["required"] == false || ports.iter().any(|(given, _)| given == name);
            ensure!(is_given, "it gave no port `{name}`");
        }
        let size_bytes = |guest: &Guest| guest.memory.data_size(&guest.store);
        let mut idle = self.idle.lock().expect("no holder panics");
        if idle.iter().map(size_bytes).sum::<usize>() + size_bytes(&guest) <= IDLE_BYTES_MAX {
            idle.push(guest);
        }
        Ok(ports)
    }
}

/// An instance of a codec.
struct Guest {
    store: Store<StoreLimits>,
    instance: Instance,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    dealloc: TypedFunc<(u32, u32), ()>,
    encode: TypedFunc<(u32, u32), u64>,
    decode: TypedFunc<(u32, u32), u64>,
}

impl Guest {
    fn start(host: &Host, module: &Module) -> Result<Self> {
        let limits = StoreLimitsBuilder::new().memory_size(host.limits.memory_bytes).tables(16).table_elements(1 << 17);
        let mut store = Store::new(&host.engine, limits.build());
        store.limiter(|limits| limits);
        host.set_deadline(&mut store);
        let instance = Instance::new(&mut store, module, &[])?;
        if let Some(initialize) = instance.get_func(&mut store, "_initialize") {
            initialize.typed::<(), ()>(&store)?.call(&mut store, ())?;
        }
        let memory = instance.get_memory(&mut store, "memory").context("it exports no `memory`")?;
        let alloc = instance.get_typed_func(&mut store, "alloc")?;
        let dealloc = instance.get_typed_func(&mut store, "dealloc")?;
        let encode = instance.get_typed_func(&mut store, "encode")?;
        let decode = instance.get_typed_func(&mut store, "decode")?;
        Ok(Self { store, instance, memory, alloc, dealloc, encode, decode })
    }

    fn call(&mut self, direction: Direction, inputs: &[(&str, &[u8])], limits: &Limits) -> Result<Ports> {
        let size = inputs.iter().fold(4, |sum, (name, data)| sum + 8 + name.len() + data.len());
        let address = match u32::try_from(size) {
            Ok(size) if size as usize <= limits.memory_bytes => self.alloc.call(&mut self.store, size)?,
            _ => 0,
        };
        ensure!(address > 0, "{OUT_OF_MEMORY} for an input of {size} bytes");
        let place = self.memory.data_mut(&mut self.store).get_mut(address as usize..address as usize + size);
        write_ports(place.context("`alloc` gave a place outside of its memory")?, inputs)?;

        let function = if direction == Direction::Encode { &self.encode } else { &self.decode };
        let result = function.call(&mut self.store, (address, size as u32))?;
        if result == 0 {
            bail!("{}", self.read_last_error()?);
        }
        let (place, size) = (place_of(result), result as u32);
        ensure!(place.len() <= limits.output_bytes, "expected at most {} bytes, got {size}", limits.output_bytes);
        let output = self.memory.data(&self.store).get(place);
        let ports = output.and_then(read_ports).context("it gave no port-map")?;
        self.dealloc.call(&mut self.store, ((result >> 32) as u32, size))?;
        Ok(ports)
    }

    fn read_last_error(&mut self) -> Result<String> {
        let Some(last_error) = self.instance.get_func(&mut self.store, "last_error") else {
            return Ok("it failed without a message".into());
        };
        let mut place = place_of(last_error.typed::<(), u64>(&self.store)?.call(&mut self.store, ())?);
        place.end = place.end.min(place.start + WORDS_BYTES_MAX);
        let words = self.memory.data(&self.store).get(place);
        Ok(String::from_utf8_lossy(words.context("its message is outside of its memory")?).into_owned())
    }
}

/// Describes a failure of a codec in one line that is not too long and cannot control a terminal.
pub fn describe(codec: &str, why: impl fmt::Display) -> String {
    let text = format!("codec `{codec}`: {why}");
    let is_control = |each: char| each.is_control() || ('\u{200b}'..='\u{206f}').contains(&each);
    text.chars().take(WORDS_BYTES_MAX).map(|each| if is_control(each) { ' ' } else { each }).collect()
}

/// Gives the place in memory that a result stands for.
fn place_of(result: u64) -> Range<usize> {
    let address = (result >> 32) as usize;
    address..address + result as u32 as usize
}

fn write_ports(mut place: &mut [u8], ports: &[(&str, &[u8])]) -> Result<()> {
    place.write_all(&(ports.len() as u32).to_le_bytes())?;
    for part in ports.iter().flat_map(|(name, data)| [name.as_bytes(), data]) {
        place.write_all(&(part.len() as u32).to_le_bytes())?;
        place.write_all(part)?;
    }
    Ok(())
}

fn read_ports(bytes: &[u8]) -> Option<Ports> {
    let (count, mut bytes) = bytes.split_first_chunk()?;
    let mut ports = Ports::new();
    for _ in 0..Some(u32::from_le_bytes(*count)).filter(|count| *count <= PORTS_MAX)? {
        let (name, data) = (read_part(&mut bytes)?, read_part(&mut bytes)?);
        let name = str::from_utf8(name).ok()?;
        ports.iter().all(|(other, _)| other != name).then(|| ports.push((name.into(), to_vec(data))))?;
    }
    bytes.is_empty().then_some(ports)
}

fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let size = bytes.split_off(..4)?.try_into().ok()?;
    bytes.split_off(..u32::from_le_bytes(size) as usize)
}

thread_local! {
    /// Buffers for the next outputs of their size, because the system would zero the pages of new ones.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Copies data into a spare buffer if one fits well.
fn to_vec(data: &[u8]) -> Vec<u8> {
    let is_fit = |spare: &Vec<u8>| (data.len()..=2 * data.len()).contains(&spare.capacity());
    let found = SPARE.with_borrow_mut(|all| all.iter().position(is_fit).map(|index| all.remove(index)));
    let mut buffer = found.unwrap_or_default();
    buffer.clear();
    buffer.extend_from_slice(data);
    buffer
}

/// Keeps a buffer, of which the data is no longer needed, instead of the oldest one.
pub fn recycle(data: Cow<'_, [u8]>) {
    if let Cow::Owned(buffer) = data {
        SPARE.with_borrow_mut(|all| {
            all.truncate(SPARE_MAX - 1);
            all.insert(0, buffer);
        });
    }
}
