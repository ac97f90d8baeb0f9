//! A small client of the encoder library, as the driver sees one: dlopen, function list, versioned structures.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the client calls a C interface all the time, as clients do"
)]

use std::ffi::c_void;
use std::ops::{Deref, DerefMut};

use libloading::Library;
use nvsim::nvenc::abi::*;
use nvsim::nvenc::versions::{Api, Struct};

/// A structure with room behind it: some declarations cover only the part that all versions share.
#[repr(C)]
pub struct Block<T> {
    value: T,
    rest: [u64; 512],
}

impl<T: Plain> Block<T> {
    pub fn new() -> Box<Self> {
        Box::new(Self { value: T::zeroed(), rest: [0; 512] })
    }

    pub fn pointer(&mut self) -> usize {
        std::ptr::from_mut(self) as usize
    }
}

impl<T> Deref for Block<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Block<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Places in the function list.
pub mod at {
    pub const OPEN_OLD: usize = 0;
    pub const GUID_COUNT: usize = 1;
    pub const PROFILE_COUNT: usize = 2;
    pub const PROFILES: usize = 3;
    pub const GUIDS: usize = 4;
    pub const FORMAT_COUNT: usize = 5;
    pub const FORMATS: usize = 6;
    pub const CAPS: usize = 7;
    pub const PRESET_COUNT: usize = 8;
    pub const PRESETS: usize = 9;
    pub const PRESET_CONFIG: usize = 10;
    pub const INITIALIZE: usize = 11;
    pub const CREATE_INPUT: usize = 12;
    pub const DESTROY_INPUT: usize = 13;
    pub const CREATE_OUTPUT: usize = 14;
    pub const DESTROY_OUTPUT: usize = 15;
    pub const ENCODE: usize = 16;
    pub const LOCK: usize = 17;
    pub const UNLOCK: usize = 18;
    pub const LOCK_INPUT: usize = 19;
    pub const UNLOCK_INPUT: usize = 20;
    pub const SEQUENCE_PARAMS: usize = 22;
    pub const MAP: usize = 25;
    pub const UNMAP: usize = 26;
    pub const DESTROY: usize = 27;
    pub const OPEN: usize = 29;
    pub const REGISTER: usize = 30;
    pub const UNREGISTER: usize = 31;
    pub const RECONFIGURE: usize = 32;
    pub const LAST_ERROR: usize = 37;
    pub const IO_STREAMS: usize = 38;
    pub const PRESET_CONFIG_EX: usize = 39;
    pub const SEQUENCE_PARAMS_EX: usize = 40;
}

/// The loaded libraries and a context.
pub struct Driver {
    pub cuda: Library,
    pub nvenc: Library,
    pub api: Api,
    pub list: Box<[usize; 319]>,
    pub context: usize,
}

impl Driver {
    pub fn new(api: Api) -> Self {
        let cuda = unsafe { Library::new("libcuda.so.1") }.unwrap();
        let nvenc = unsafe { Library::new("libnvidia-encode.so.1") }.unwrap();
        let mut driver = Self { cuda, nvenc, api, list: Box::new([0; 319]), context: 0 };
        assert_eq!(driver.cuda_call("cuInit", [0, 0, 0, 0]), 0);
        driver.context = driver.new_context();
        assert_eq!(driver.create_instance(api.struct_word(Struct::FunctionList)), NvStatus::SUCCESS);
        driver
    }

    pub fn create_instance(&mut self, word: u32) -> NvStatus {
        self.list[0] = word as usize;
        type Create = unsafe extern "C" fn(*mut c_void) -> NvStatus;
        let create = unsafe { self.nvenc.get::<Create>(b"NvEncodeAPICreateInstance\0") }.unwrap();
        unsafe { create(self.list.as_mut_ptr().cast()) }
    }

    /// A CUDA function with at most four arguments of register size.
    pub fn cuda_call(&self, name: &str, args: [usize; 4]) -> u32 {
        type Function = unsafe extern "C" fn(usize, usize, usize, usize) -> u32;
        let function = unsafe { self.cuda.get::<Function>(name.as_bytes()) }.unwrap();
        unsafe { function(args[0], args[1], args[2], args[3]) }
    }

    /// Makes a floating context.
    pub fn new_context(&self) -> usize {
        let mut context = 0usize;
        assert_eq!(self.cuda_call("cuCtxCreate_v2", [&raw mut context as usize, 0, 0, 0]), 0);
        let mut popped = 0usize;
        assert_eq!(self.cuda_call("cuCtxPopCurrent_v2", [&raw mut popped as usize, 0, 0, 0]), 0);
        context
    }

    pub fn push(&self) {
        assert_eq!(self.cuda_call("cuCtxPushCurrent_v2", [self.context, 0, 0, 0]), 0);
    }

    pub fn pop(&self) {
        let mut popped = 0usize;
        assert_eq!(self.cuda_call("cuCtxPopCurrent_v2", [&raw mut popped as usize, 0, 0, 0]), 0);
    }

    pub fn alloc(&self, bytes: usize) -> usize {
        self.push();
        let mut address = 0usize;
        assert_eq!(self.cuda_call("cuMemAlloc_v2", [&raw mut address as usize, bytes, 0, 0]), 0);
        self.pop();
        address
    }

    pub fn free(&self, address: usize) {
        self.push();
        assert_eq!(self.cuda_call("cuMemFree_v2", [address, 0, 0, 0]), 0);
        self.pop();
    }

    pub fn upload(&self, address: usize, bytes: &[u8]) {
        self.push();
        assert_eq!(self.cuda_call("cuMemcpyHtoD_v2", [address, bytes.as_ptr() as usize, bytes.len(), 0]), 0);
        self.pop();
    }

    /// A function of the list with arguments of register size.
    pub fn call(&self, place: usize, args: [usize; 5]) -> NvStatus {
        let address = self.list[1 + place];
        assert_ne!(address, 0, "function {place} is not there");
        type Function = unsafe extern "C" fn(usize, usize, usize, usize, usize) -> NvStatus;
        let function = unsafe { std::mem::transmute::<usize, Function>(address) };
        unsafe { function(args[0], args[1], args[2], args[3], args[4]) }
    }

    pub fn open(&self) -> (usize, NvStatus) {
        self.open_on(self.context, self.api.word())
    }

    pub fn open_on(&self, context: usize, api_word: u32) -> (usize, NvStatus) {
        let mut params = Block::<OpenSession>::new();
        params.version = self.api.struct_word(Struct::OpenSession);
        params.device_type = DEVICE_CUDA;
        params.device = context;
        params.api_version = api_word;
        let mut encoder = 0usize;
        let status = self.call(at::OPEN, [params.pointer(), &raw mut encoder as usize, 0, 0, 0]);
        (encoder, status)
    }

    pub fn destroy_context(&self) {
        assert_eq!(self.cuda_call("cuCtxDestroy_v2", [self.context, 0, 0, 0]), 0);
    }
}

/// A picture that came out.
#[derive(Debug, Clone)]
pub struct Picture {
    pub timestamp: u64,
    pub kind: u32,
    pub frame_idx: u32,
    pub data: Vec<u8>,
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
        let mut client = Self::open(driver);
        assert_eq!(client.init(|_, config| config.frame_interval_p = b_frames + 1), NvStatus::SUCCESS);
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
        let address = self.driver.list[1 + at::PRESET_CONFIG_EX];
        let function = unsafe { std::mem::transmute::<usize, Function>(address) };
        unsafe { function(self.encoder, self.codec, preset, tuning, std::ptr::from_mut(config).cast()) }
    }

    pub fn cap(&self, cap: u32) -> Result<i32, NvStatus> {
        let mut param = Block::<CapsParam>::new();
        param.version = self.driver.api.struct_word(Struct::CapsParam);
        param.cap = cap;
        let mut value = -1;
        type Function = unsafe extern "C" fn(usize, Guid, *mut c_void, *mut i32) -> NvStatus;
        let function = unsafe { std::mem::transmute::<usize, Function>(self.driver.list[1 + at::CAPS]) };
        match unsafe { function(self.encoder, self.codec, param.pointer() as *mut c_void, &mut value) } {
            NvStatus::SUCCESS => Ok(value),
            status => Err(status),
        }
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
        let mut params = Block::<CreateInput>::new();
        params.version = self.driver.api.struct_word(Struct::CreateInput);
        (params.width, params.height) = (self.width, self.height);
        params.format = formats::NV12;
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

    /// Locks an input; answers pointer and pitch.
    pub fn lock_input(&self, input: usize, no_wait: bool) -> Result<(*mut u8, usize), NvStatus> {
        let mut params = Block::<LockInput>::new();
        params.version = self.driver.api.struct_word(Struct::LockInput);
        params.bits = u32::from(no_wait);
        params.buffer = input;
        match self.call(at::LOCK_INPUT, params.pointer()) {
            NvStatus::SUCCESS => Ok((params.data as *mut u8, params.pitch as usize)),
            status => Err(status),
        }
    }

    /// Draws picture number `n`: a gradient that moves.
    pub fn fill(&self, input: usize, n: u64) {
        let (data, pitch) = self.lock_input(input, false).unwrap();
        assert!(pitch > self.width as usize, "the pitch is not the width");
        for y in 0..(self.height + self.height / 2) as usize {
            for x in 0..self.width as usize {
                let value = if y < self.height as usize { (x + y + 3 * n as usize) as u8 } else { 128 };
                unsafe { data.add(y * pitch + x).write(value) };
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
