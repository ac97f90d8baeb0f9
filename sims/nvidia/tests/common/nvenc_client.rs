//! A small client of the encoder library: a session, its buffers, and pictures through them.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod nvenc_driver;

use std::ffi::{CStr, c_char, c_void};

use nvsim::nvenc::abi::*;
use nvsim::nvenc::versions::Struct;

pub use nvenc_driver::{Block, Driver, at};

/// A picture that came out.
#[derive(Debug, Clone)]
pub struct Picture {
    pub timestamp: u64,
    pub kind: u32,
    pub frame_idx: u32,
    pub data: Vec<u8>,
}

/// What lists of the driver hold.
///
/// # Safety
/// Any bytes are a value of the type.
pub unsafe trait ListEntry: Copy + Default {}
// SAFETY: numbers.
unsafe impl ListEntry for Guid {}
// SAFETY: a number.
unsafe impl ListEntry for u32 {}

/// The memory of an input buffer. It stays the driver's: after the unlock it is still there, and a client that breaks the
/// rules can write to it.
#[derive(Debug)]
pub struct Locked {
    data: *mut u8,
    pub pitch: usize,
    pub bytes: usize,
}

impl Locked {
    pub fn set(&self, from: usize, count: usize, value: u8) {
        assert!(from <= self.bytes && count <= self.bytes - from);
        // SAFETY: inside of the buffer: the driver has rows of this pitch for luma and chroma, and the tests write to
        // no buffer that they have destroyed. Nothing on this side refers to the memory.
        unsafe { self.data.add(from).write_bytes(value, count) };
    }
}

/// One session and its buffers.
pub struct Client<'a> {
    pub driver: &'a Driver,
    pub encoder: usize,
    pub codec: Guid,
    pub width: u32,
    pub height: u32,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

pub const WIDTH: u32 = 192;
pub const HEIGHT: u32 = 128;

impl<'a> Client<'a> {
    pub fn open(driver: &'a Driver) -> Self {
        let (encoder, status) = driver.open();
        assert_eq!(status, NvStatus::SUCCESS);
        Self {
            driver,
            encoder,
            codec: guids::H264,
            width: WIDTH,
            height: HEIGHT,
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// A session with `b_frames`, without lookahead, with `buffers` of each kind.
    pub fn ready(driver: &'a Driver, b_frames: i32, buffers: usize) -> Self {
        Self::with(driver, guids::H264, buffers, |_, config| config.frame_interval_p = b_frames + 1)
    }

    /// A session of a codec, initialised with `change`d settings, with `buffers` of each kind.
    pub fn with(
        driver: &'a Driver,
        codec: Guid,
        buffers: usize,
        change: impl FnOnce(&mut InitParams, &mut Config),
    ) -> Self {
        let mut client = Self::open(driver);
        client.codec = codec;
        assert_eq!(client.init(change), NvStatus::SUCCESS);
        client.buffers(buffers);
        client
    }

    pub fn call(&self, place: usize, argument: usize) -> NvStatus {
        self.driver.call(place, [self.encoder, argument, 0, 0, 0])
    }

    pub fn preset(&self, level: usize, tuning: u32) -> Box<Block<PresetConfig>> {
        let mut preset = Block::<PresetConfig>::new();
        preset.version = self.driver.api.struct_word(Struct::PresetConfig);
        preset.config.version = self.driver.api.struct_word(Struct::Config);
        assert_eq!(
            self.preset_config(guids::PRESETS[level - 1], tuning, &mut preset),
            NvStatus::SUCCESS,
            "preset P{level}"
        );
        preset
    }

    pub fn preset_config(&self, preset: Guid, tuning: u32, config: &mut Block<PresetConfig>) -> NvStatus {
        type Function = unsafe extern "C" fn(usize, Guid, Guid, u32, *mut c_void) -> NvStatus;
        // SAFETY: the form of the function, and a structure with room for that of every version.
        unsafe {
            let function = self.driver.function::<Function>(at::PRESET_CONFIG_EX);
            function(self.encoder, self.codec, preset, tuning, std::ptr::from_mut(config).cast())
        }
    }

    pub fn cap(&self, cap: u32) -> Result<i32, NvStatus> {
        let mut param = Block::<CapsParam>::new();
        param.version = self.driver.api.struct_word(Struct::CapsParam);
        param.cap = cap;
        let mut value = -1;
        type Function = unsafe extern "C" fn(usize, Guid, *mut c_void, *mut i32) -> NvStatus;
        // SAFETY: the form of the function; the structure and the variable are our own.
        let status = unsafe {
            let function = self.driver.function::<Function>(at::CAPS);
            function(self.encoder, self.codec, param.pointer() as *mut c_void, &mut value)
        };
        match status {
            NvStatus::SUCCESS => Ok(value),
            status => Err(status),
        }
    }

    /// How many entries a list of the driver has, and those that fit `room`. Some lists are of the session's codec.
    pub fn list<T: ListEntry>(
        &self,
        count_at: usize,
        list_at: usize,
        of_codec: bool,
        room: usize,
    ) -> (u32, Vec<T>) {
        let (mut count, mut written) = (0u32, 0u32);
        let mut items = vec![T::default(); room];
        let (driver, encoder, codec) = (self.driver, self.encoder, self.codec);
        // SAFETY: the forms of the functions, `T` what the list at this place holds; the driver is told the room.
        let statuses = unsafe {
            if of_codec {
                type Count = unsafe extern "C" fn(usize, Guid, *mut u32) -> NvStatus;
                type List<T> = unsafe extern "C" fn(usize, Guid, *mut T, u32, *mut u32) -> NvStatus;
                [
                    driver.function::<Count>(count_at)(encoder, codec, &mut count),
                    driver.function::<List<T>>(list_at)(
                        encoder,
                        codec,
                        items.as_mut_ptr(),
                        room as u32,
                        &mut written,
                    ),
                ]
            } else {
                type Count = unsafe extern "C" fn(usize, *mut u32) -> NvStatus;
                type List<T> = unsafe extern "C" fn(usize, *mut T, u32, *mut u32) -> NvStatus;
                [
                    driver.function::<Count>(count_at)(encoder, &mut count),
                    driver.function::<List<T>>(list_at)(
                        encoder,
                        items.as_mut_ptr(),
                        room as u32,
                        &mut written,
                    ),
                ]
            }
        };
        assert_eq!(statuses, [NvStatus::SUCCESS; 2]);
        items.truncate(written as usize);
        (count, items)
    }

    /// What the driver says of the last call that failed.
    pub fn last_error(&self) -> String {
        type Last = unsafe extern "C" fn(usize) -> *const c_char;
        // SAFETY: the form of the function, which answers text that lives as long as the session.
        let text = unsafe { CStr::from_ptr(self.driver.function::<Last>(at::LAST_ERROR)(self.encoder)) };
        text.to_str().unwrap().to_owned()
    }

    fn init_params(&self, config: usize) -> Box<Block<InitParams>> {
        let mut init = Block::<InitParams>::new();
        init.version = self.driver.api.struct_word(Struct::InitParams);
        init.encode_guid = self.codec;
        init.preset_guid = guids::PRESETS[3];
        init.tuning = tunings::HIGH_QUALITY;
        (init.width, init.height) = (self.width, self.height);
        (init.dar_width, init.dar_height) = (self.width, self.height);
        (init.fps_num, init.fps_den) = (30, 1);
        init.enable_ptd = 1;
        init.config = config;
        init
    }

    pub fn init(&mut self, change: impl FnOnce(&mut InitParams, &mut Config)) -> NvStatus {
        let mut preset = self.preset(4, tunings::HIGH_QUALITY);
        let mut config = preset.config;
        config.rc.average_bit_rate = 400_000;
        let mut init = self.init_params(0);
        let mut inner = **init;
        change(&mut inner, &mut config);
        preset.config = config;
        **init = inner;
        if init.config == 0 {
            init.config = &raw const preset.config as usize;
        }
        (self.width, self.height) = (init.width, init.height);
        self.call(at::INITIALIZE, init.pointer())
    }

    /// `change` sees the initialisation, the configuration and the bits (1: reset, 2: IDR).
    pub fn reconfigure(
        &mut self,
        b_frames: i32,
        change: impl FnOnce(&mut InitParams, &mut Config, &mut u32),
    ) -> NvStatus {
        let api = self.driver.api;
        let mut preset = self.preset(4, tunings::HIGH_QUALITY);
        let mut config = preset.config;
        config.rc.average_bit_rate = 400_000;
        config.frame_interval_p = b_frames + 1;
        let mut bits = 0;
        let mut shared = **self.init_params(0);
        change(&mut shared, &mut config, &mut bits);
        preset.config = config;
        shared.config = &raw const preset.config as usize;
        let mut words = vec![0u64; 512];
        let base = words.as_mut_ptr().cast::<u8>();
        assert!(8 + api.size(Struct::InitParams).max(size_of::<InitParams>()) + 4 <= 8 * words.len());
        // SAFETY: inside of the words, at offsets that are aligned for what is written there.
        unsafe {
            base.cast::<u32>().write(api.struct_word(Struct::Reconfigure));
            base.add(8).cast::<InitParams>().write(shared);
            base.add(8 + api.size(Struct::InitParams)).cast::<u32>().write(bits);
        }
        let status = self.call(at::RECONFIGURE, base as usize);
        if status == NvStatus::SUCCESS {
            (self.width, self.height) = (shared.width, shared.height);
        }
        status
    }

    pub fn create_input(&self) -> Result<usize, NvStatus> {
        self.create_input_of(formats::NV12)
    }

    pub fn create_input_of(&self, format: u32) -> Result<usize, NvStatus> {
        let mut params = Block::<CreateInput>::new();
        params.version = self.driver.api.struct_word(Struct::CreateInput);
        (params.width, params.height) = (self.width, self.height);
        params.format = format;
        match self.call(at::CREATE_INPUT, params.pointer()) {
            NvStatus::SUCCESS => Ok(params.buffer),
            status => Err(status),
        }
    }

    pub fn create_output(&self) -> Result<usize, NvStatus> {
        let mut params = Block::<CreateBitstream>::new();
        params.version = self.driver.api.struct_word(Struct::CreateBitstream);
        match self.call(at::CREATE_OUTPUT, params.pointer()) {
            NvStatus::SUCCESS => Ok(params.buffer),
            status => Err(status),
        }
    }

    pub fn buffers(&mut self, count: usize) {
        for _ in 0..count {
            self.inputs.push(self.create_input().unwrap());
            self.outputs.push(self.create_output().unwrap());
        }
    }

    /// Locks an input.
    pub fn lock_input(&self, input: usize, no_wait: bool) -> Result<Locked, NvStatus> {
        let mut params = Block::<LockInput>::new();
        params.version = self.driver.api.struct_word(Struct::LockInput);
        params.bits = u32::from(no_wait);
        params.buffer = input;
        match self.call(at::LOCK_INPUT, params.pointer()) {
            NvStatus::SUCCESS => {
                let pitch = params.pitch as usize;
                let rows = (self.height + self.height / 2) as usize;
                Ok(Locked { data: params.data as *mut u8, pitch, bytes: pitch * rows })
            }
            status => Err(status),
        }
    }

    /// Draws picture number `n`: a gradient that moves.
    pub fn fill(&self, input: usize, n: u64) {
        let locked = self.lock_input(input, false).unwrap();
        let pitch = locked.pitch;
        assert!(pitch > self.width as usize, "the pitch is not the width");
        for y in 0..(self.height + self.height / 2) as usize {
            for x in 0..self.width as usize {
                let value = if y < self.height as usize { (x + y + 3 * n as usize) as u8 } else { 128 };
                locked.set(y * pitch + x, 1, value);
            }
        }
        assert_eq!(self.call(at::UNLOCK_INPUT, input), NvStatus::SUCCESS);
    }

    pub fn submit(&self, input: usize, output: usize, timestamp: u64) -> NvStatus {
        self.submit_with(input, output, timestamp, |_| {})
    }

    pub fn submit_with(
        &self,
        input: usize,
        output: usize,
        timestamp: u64,
        change: impl FnOnce(&mut PicParams),
    ) -> NvStatus {
        let mut params = Block::<PicParams>::new();
        params.version = self.driver.api.struct_word(Struct::PicParams);
        (params.width, params.height) = (self.width, self.height);
        params.timestamp = timestamp;
        (params.input, params.output) = (input, output);
        params.format = formats::NV12;
        params.pic_struct = 1;
        change(&mut params);
        self.call(at::ENCODE, params.pointer())
    }

    pub fn eos(&self) -> NvStatus {
        let mut params = Block::<PicParams>::new();
        params.version = self.driver.api.struct_word(Struct::PicParams);
        params.flags = flags::EOS;
        self.call(at::ENCODE, params.pointer())
    }

    /// Locks an output, copies it and leaves it locked.
    pub fn lock(&self, output: usize) -> Result<Picture, NvStatus> {
        self.lock_with(output, 0)
    }

    pub fn lock_with(&self, output: usize, bits: u32) -> Result<Picture, NvStatus> {
        let mut params = Block::<LockBitstream>::new();
        params.version = self.driver.api.struct_word(Struct::LockBitstream);
        params.output = output;
        params.bits = bits;
        match self.call(at::LOCK, params.pointer()) {
            NvStatus::SUCCESS => Ok(Picture {
                timestamp: params.timestamp,
                kind: params.pic_type,
                frame_idx: params.frame_idx,
                // SAFETY: the output is locked, and the driver says where it is and how long.
                data: unsafe { std::slice::from_raw_parts(params.data as *const u8, params.size as usize) }
                    .to_vec(),
            }),
            status => Err(status),
        }
    }

    pub fn take(&self, output: usize) -> Picture {
        let picture = self.lock(output).unwrap();
        assert_eq!(self.call(at::UNLOCK, output), NvStatus::SUCCESS);
        picture
    }

    /// Parameter sets.
    pub fn headers(&self, capacity: usize) -> Result<Vec<u8>, NvStatus> {
        let mut bytes = vec![0u8; capacity.max(1)];
        let mut written = 0u32;
        let mut payload = Block::<SequencePayload>::new();
        payload.version = self.driver.api.struct_word(Struct::SequencePayload);
        payload.capacity = capacity as u32;
        payload.buffer = bytes.as_mut_ptr() as usize;
        payload.written = &raw mut written as usize;
        match self.call(at::SEQUENCE_PARAMS, payload.pointer()) {
            NvStatus::SUCCESS => {
                bytes.truncate(written as usize);
                Ok(bytes)
            }
            status => Err(status),
        }
    }

    /// Codes `count` pictures from `first` on with as many buffers as there are, taking outputs as they come.
    pub fn run(&self, first: u64, count: u64) -> Vec<Picture> {
        let mut pictures = Vec::new();
        let (mut pending, mut ready) = (Vec::new(), std::collections::VecDeque::new());
        for n in 0..count {
            while pending.len() + ready.len() == self.outputs.len() {
                pictures.push(self.take(ready.pop_front().expect("too few buffers")));
            }
            let at = (n % self.outputs.len() as u64) as usize;
            // An input is in use until its own picture comes out, which may be in a later output than its own.
            while self.lock_input(self.inputs[at], true).is_err() {
                pictures.push(self.take(ready.pop_front().expect("too few buffers")));
            }
            assert_eq!(self.call(at::UNLOCK_INPUT, self.inputs[at]), NvStatus::SUCCESS);
            self.fill(self.inputs[at], first + n);
            pending.push(self.outputs[at]);
            match self.submit(self.inputs[at], self.outputs[at], first + n) {
                NvStatus::SUCCESS => ready.extend(pending.drain(..)),
                NvStatus::NEED_MORE_INPUT => {}
                status => panic!("picture {n}: {status:?}"),
            }
        }
        assert_eq!(self.eos(), NvStatus::SUCCESS);
        ready.extend(pending);
        pictures.extend(ready.into_iter().map(|output| self.take(output)));
        pictures
    }

    pub fn register(&self, address: usize, pitch: u32) -> Result<usize, NvStatus> {
        let mut params = Block::<Register>::new();
        params.version = self.driver.api.struct_word(Struct::Register);
        params.kind = RESOURCE_CUDADEVICEPTR;
        (params.width, params.height, params.pitch) = (self.width, self.height, pitch);
        params.resource = address;
        params.format = formats::NV12;
        match self.call(at::REGISTER, params.pointer()) {
            NvStatus::SUCCESS => Ok(params.registered),
            status => Err(status),
        }
    }

    pub fn map(&self, registered: usize) -> Result<usize, NvStatus> {
        let mut params = Block::<Map>::new();
        params.version = self.driver.api.struct_word(Struct::Map);
        params.registered = registered;
        match self.call(at::MAP, params.pointer()) {
            NvStatus::SUCCESS => {
                assert_eq!(params.format, formats::NV12);
                Ok(params.mapped)
            }
            status => Err(status),
        }
    }

    /// Ends the stream and gives everything back.
    pub fn finish(self) {
        assert_eq!(self.eos(), NvStatus::SUCCESS);
        self.close();
    }

    /// Gives everything back in the right order.
    pub fn close(mut self) {
        for input in self.inputs.drain(..) {
            assert_eq!(
                self.driver.call(at::DESTROY_INPUT, [self.encoder, input, 0, 0, 0]),
                NvStatus::SUCCESS
            );
        }
        for output in self.outputs.drain(..) {
            assert_eq!(
                self.driver.call(at::DESTROY_OUTPUT, [self.encoder, output, 0, 0, 0]),
                NvStatus::SUCCESS
            );
        }
        assert_eq!(self.call(at::DESTROY, 0), NvStatus::SUCCESS);
    }
}
