//! The encoder library: opening it, sessions and what they answer. Buffers and pictures are in
//! [`super::nvenc_buffers`], device memory as input in [`super::nvenc_resources`].

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::calling;
use super::cuda::Context;
use super::library::{self, Missing, Name, Once};
use super::nvenc_abi::{
    CapsParam, Config, CreateBitstream, CreateInput, FunctionList, Handle, InitParams, LockBitstream,
    LockInput, MapResource, NvStatus, OpenSession, PicParams, PresetConfig, Reconfigure, RegisterResource,
};
use super::nvenc_buffers::Submitted;
use super::nvenc_names::{Cap, DEVICE_CUDA, Guid, picture};
use super::nvenc_result::UPDATE_DRIVER;
use super::nvenc_version::{Api, Shape};
use crate::backend::admission::Permit;
use crate::error::{Error, Result};
use crate::sync::lock;

/// Takes the functions out of the driver's list; the first that is missing is named.
macro_rules! functions {
    ($($field:ident: $symbol:literal fn($($type:ty),*) -> $result:ty;)*) => {
        /// The functions of the list that are used.
        #[derive(Debug)]
        pub(super) struct Functions {
            $(pub(super) $field: unsafe extern "system" fn($($type),*) -> $result,)*
        }

        impl Functions {
            fn of(list: &FunctionList) -> Result<Self, Missing> {
                Ok(Self {
                    $($field: list.$field.ok_or_else(|| library::missing_symbol(Name::Encode, $symbol))?,)*
                })
            }
        }
    };
}

functions! {
    codec_count: "nvEncGetEncodeGUIDCount" fn(Handle, *mut u32) -> NvStatus;
    codecs: "nvEncGetEncodeGUIDs" fn(Handle, *mut Guid, u32, *mut u32) -> NvStatus;
    format_count: "nvEncGetInputFormatCount" fn(Handle, Guid, *mut u32) -> NvStatus;
    formats: "nvEncGetInputFormats" fn(Handle, Guid, *mut u32, u32, *mut u32) -> NvStatus;
    caps: "nvEncGetEncodeCaps" fn(Handle, Guid, *mut CapsParam, *mut c_int) -> NvStatus;
    preset_config: "nvEncGetEncodePresetConfigEx" fn(Handle, Guid, Guid, u32, *mut PresetConfig) -> NvStatus;
    initialize: "nvEncInitializeEncoder" fn(Handle, *mut InitParams) -> NvStatus;
    create_input: "nvEncCreateInputBuffer" fn(Handle, *mut CreateInput) -> NvStatus;
    destroy_input: "nvEncDestroyInputBuffer" fn(Handle, Handle) -> NvStatus;
    lock_input: "nvEncLockInputBuffer" fn(Handle, *mut LockInput) -> NvStatus;
    unlock_input: "nvEncUnlockInputBuffer" fn(Handle, Handle) -> NvStatus;
    create_bitstream: "nvEncCreateBitstreamBuffer" fn(Handle, *mut CreateBitstream) -> NvStatus;
    destroy_bitstream: "nvEncDestroyBitstreamBuffer" fn(Handle, Handle) -> NvStatus;
    register_resource: "nvEncRegisterResource" fn(Handle, *mut RegisterResource) -> NvStatus;
    unregister_resource: "nvEncUnregisterResource" fn(Handle, Handle) -> NvStatus;
    map_resource: "nvEncMapInputResource" fn(Handle, *mut MapResource) -> NvStatus;
    unmap_resource: "nvEncUnmapInputResource" fn(Handle, Handle) -> NvStatus;
    encode: "nvEncEncodePicture" fn(Handle, *mut PicParams) -> NvStatus;
    lock_bitstream: "nvEncLockBitstream" fn(Handle, *mut LockBitstream) -> NvStatus;
    unlock_bitstream: "nvEncUnlockBitstream" fn(Handle, Handle) -> NvStatus;
    open: "nvEncOpenEncodeSessionEx" fn(*mut OpenSession, *mut Handle) -> NvStatus;
    destroy: "nvEncDestroyEncoder" fn(Handle) -> NvStatus;
    reconfigure: "nvEncReconfigureEncoder" fn(Handle, *mut Reconfigure) -> NvStatus;
    last_error: "nvEncGetLastErrorString" fn(Handle) -> *const c_char;
}

/// The loaded encoder library, and the API version that it is spoken to in.
#[derive(Debug)]
pub(super) struct Nvenc {
    pub(super) api: Api,
    pub(super) functions: Functions,
}

/// The encoder library, loaded at the first call.
///
/// # Errors
/// [`Error::Unavailable`] with what is missing and what to do.
fn nvenc() -> Result<&'static Nvenc> {
    static NVENC: Once<Nvenc> = OnceLock::new();
    NVENC.get_or_init(load).as_ref().map_err(Missing::error)
}

fn load() -> Result<Nvenc, Missing> {
    type MaxVersion = unsafe extern "system" fn(*mut u32) -> NvStatus;
    type CreateInstance = unsafe extern "system" fn(*mut FunctionList) -> NvStatus;
    const MAX_VERSION: &str = "NvEncodeAPIGetMaxSupportedVersion";
    const CREATE_INSTANCE: &str = "NvEncodeAPICreateInstance";
    let library = library::open(Name::Encode)?;
    // SAFETY: the signatures are those of the vendor's header, and the library is never unloaded.
    let (max_version, create) = unsafe {
        (
            library.get::<MaxVersion>(MAX_VERSION.as_bytes()).map(|symbol| *symbol),
            library.get::<CreateInstance>(CREATE_INSTANCE.as_bytes()).map(|symbol| *symbol),
        )
    };
    // As for libcuda: a driver's library stays.
    std::mem::forget(library);
    let max_version = max_version.map_err(|_| library::missing_symbol(Name::Encode, MAX_VERSION))?;
    let create = create.map_err(|_| library::missing_symbol(Name::Encode, CREATE_INSTANCE))?;
    let failed = |call: &str, code: NvStatus| {
        Missing::new(format!("{call} answered {}", code.0), "Check that nvidia-smi works in this environment")
    };
    let mut newest = 0;
    // SAFETY: writes one word.
    match unsafe { max_version(&raw mut newest) } {
        NvStatus::SUCCESS => {}
        code => return Err(failed(MAX_VERSION, code)),
    }
    let Some(api) = Api::newest(newest) else {
        let (major, minor) = (newest >> 4, newest & 15);
        return Err(Missing::new(
            format!("the driver's encoder library speaks API {major}.{minor}, 11.1 is needed"),
            UPDATE_DRIVER,
        ));
    };
    let mut list = FunctionList { version: api.of(Shape::FunctionList), ..FunctionList::default() };
    // SAFETY: a whole structure of the asserted size.
    match unsafe { create(&raw mut list) } {
        NvStatus::SUCCESS => {}
        code => return Err(failed(CREATE_INSTANCE, code)),
    }
    Ok(Nvenc { api, functions: Functions::of(&list)? })
}

/// The version that the library is spoken to in.
///
/// # Errors
/// As for a session: no library, or one that is too old.
pub(crate) fn spoken() -> Result<Api> {
    nvenc().map(|nvenc| nvenc.api)
}

/// What a session takes before it has any buffer. Assumed.
pub(crate) const OWN_MEMORY: u64 = 32 << 20;

/// An encode session on a device, not yet initialised: good for questions.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) nvenc: &'static Nvenc,
    pub(super) context: Arc<Context>,
    pub(super) handle: Handle,
    /// Given back when the session is destroyed, which is before its fields are dropped.
    permit: Option<Permit>,
}

// SAFETY: a session is not bound to a thread; the documents ask for one thread that encodes and one that locks
// outputs, and the library locks inside.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Opens a session in a device's primary context.
    ///
    /// # Errors
    /// No library, a device without encoder, the session limit.
    pub(crate) fn open(context: &Arc<Context>) -> Result<Self> {
        let nvenc = nvenc()?;
        let _current = context.enter()?;
        let mut params = OpenSession {
            version: nvenc.api.of(Shape::OpenSession),
            device_type: DEVICE_CUDA,
            device: context.handle(),
            api_version: nvenc.api.word(),
            ..OpenSession::default()
        };
        let mut handle = std::ptr::null_mut();
        let status = calling("nvEncOpenEncodeSessionEx", || {
            // SAFETY: a whole structure of the asserted size; the context outlives the session, which holds it.
            unsafe { (nvenc.functions.open)(&raw mut params, &raw mut handle) }
        });
        // A refused session may have a handle as well, and it has to be destroyed: so it is owned first.
        let session =
            (!handle.is_null()).then(|| Self { nvenc, context: Arc::clone(context), handle, permit: None });
        match (status, session) {
            (NvStatus::SUCCESS, Some(session)) => Ok(session),
            (NvStatus::SUCCESS, None) => Err(NvStatus(20).open_error()),
            // Where there is no memory, this is what the code says.
            (NvStatus::OUT_OF_MEMORY, _) if context.memory().is_ok_and(|memory| memory.free < OWN_MEMORY) => {
                Err(NvStatus::OUT_OF_MEMORY.error("nvEncOpenEncodeSessionEx"))
            }
            (status, _) => Err(status.open_error()),
        }
    }

    /// The right to be there, kept as long as the session is.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The API version that the library is spoken to in.
    pub(crate) const fn api(&self) -> Api {
        self.nvenc.api
    }

    /// Whether the chip encodes a codec.
    pub(crate) fn encodes(&self, codec: Guid) -> Result<bool> {
        let list = self.list("nvEncGetEncodeGUIDs", |list: *mut Guid, size, count| {
            if list.is_null() {
                // SAFETY: writes one word.
                return unsafe { (self.nvenc.functions.codec_count)(self.handle, count) };
            }
            // SAFETY: room for `size` entries; writes one word besides.
            unsafe { (self.nvenc.functions.codecs)(self.handle, list, size, count) }
        })?;
        Ok(list.contains(&codec))
    }

    /// Formats of input buffers that a codec takes.
    pub(crate) fn formats(&self, codec: Guid) -> Result<Vec<u32>> {
        self.list("nvEncGetInputFormats", |list: *mut u32, size, count| {
            if list.is_null() {
                // SAFETY: writes one word.
                return unsafe { (self.nvenc.functions.format_count)(self.handle, codec, count) };
            }
            // SAFETY: room for `size` entries; writes one word besides.
            unsafe { (self.nvenc.functions.formats)(self.handle, codec, list, size, count) }
        })
    }

    /// Asks for the number of entries, then for the entries.
    fn list<T: Copy + Default>(
        &self,
        call: &'static str,
        ask: impl Fn(*mut T, u32, *mut u32) -> NvStatus,
    ) -> Result<Vec<T>> {
        /// No list of the driver's is near this long.
        const MOST: u32 = 256;
        let _current = self.context.enter()?;
        let mut count = 0;
        self.check(ask(std::ptr::null_mut(), 0, &raw mut count), call)?;
        let size = count.min(MOST);
        let mut list = vec![T::default(); size as usize];
        if size > 0 {
            self.check(ask(list.as_mut_ptr(), size, &raw mut count), call)?;
            list.truncate(count as usize);
        }
        Ok(list)
    }

    /// What the chip can do with a codec.
    pub(crate) fn cap(&self, codec: Guid, cap: Cap) -> Result<i32> {
        let mut param = CapsParam {
            version: self.nvenc.api.of(Shape::CapsParam),
            cap: cap as u32,
            ..CapsParam::default()
        };
        let mut value = 0;
        let _current = self.context.enter()?;
        // SAFETY: a whole structure of the asserted size, and one number.
        let status =
            unsafe { (self.nvenc.functions.caps)(self.handle, codec, &raw mut param, &raw mut value) };
        self.check(status, "nvEncGetEncodeCaps")?;
        Ok(value)
    }

    /// The configuration that a preset and a tuning stand for.
    pub(crate) fn preset(&self, codec: Guid, preset: Guid, tuning: u32) -> Result<Config> {
        let mut params =
            PresetConfig { version: self.nvenc.api.of(Shape::PresetConfig), ..PresetConfig::default() };
        params.config.version = self.nvenc.api.of(Shape::Config);
        let _current = self.context.enter()?;
        let status =
            // SAFETY: a whole structure of the asserted size.
            unsafe { (self.nvenc.functions.preset_config)(self.handle, codec, preset, tuning, &raw mut params) };
        self.check(status, "nvEncGetEncodePresetConfigEx")?;
        Ok(params.config)
    }

    /// Makes the session an encoder. Version words and the pointer to the configuration are set here.
    ///
    /// # Errors
    /// What the driver refuses.
    pub(crate) fn initialize(self, mut params: InitParams, mut config: Config) -> Result<Arc<Encoder>> {
        let api = self.nvenc.api;
        params.version = api.of(Shape::InitParams);
        config.version = api.of(Shape::Config);
        config.rc.version = api.of(Shape::RcParams);
        params.config = &raw mut config;
        {
            let _current = self.context.enter()?;
            let status = calling("nvEncInitializeEncoder", || {
                // SAFETY: whole structures of the asserted sizes; the driver copies the configuration.
                unsafe { (self.nvenc.functions.initialize)(self.handle, &raw mut params) }
            });
            self.check(status, "nvEncInitializeEncoder")?;
        }
        let size = (params.width, params.height);
        let reported = Mutex::new(Reported { params, config });
        Ok(Arc::new(Encoder { session: self, size, unended: AtomicBool::new(false), reported }))
    }

    /// The status as an error with the driver's own words behind ours. Only while one thread uses the session: another's
    /// call could write where the words are read.
    fn check(&self, status: NvStatus, call: &'static str) -> Result<()> {
        let mut error = match status.ok(call) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if let Error::Backend { detail, .. } = &mut error
            && let Some(message) = self.last_message()
        {
            detail.push_str(": ");
            detail.push_str(&message);
        }
        Err(error)
    }

    fn last_message(&self) -> Option<String> {
        // SAFETY: the session lives; the answer is null or a text that stays until the next call on this session, and
        // no other thread has the session before it is an encoder.
        let text = unsafe { (self.nvenc.functions.last_error)(self.handle) };
        if text.is_null() {
            return None;
        }
        // SAFETY: not null, so a text with its terminating zero.
        let message = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        (!message.is_empty()).then_some(message)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A lost device refuses to be entered; the session's memory is given back all the same.
        let _current = self.context.enter().ok();
        // SAFETY: opened by `open`, destroyed once; buffers hold the encoder that owns the session, so none is left.
        unsafe { (self.nvenc.functions.destroy)(self.handle) };
    }
}

/// An initialised session. Its buffers hold it, so it goes after the last of them.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(super) session: Session,
    /// Width and height of pictures when it was initialised.
    pub(super) size: (u32, u32),
    /// Pictures went in since the last end of stream.
    pub(super) unended: AtomicBool,
    reported: Mutex<Reported>,
}

/// What an encoder was told last: a change while it runs has to be told in the same words, all of them.
#[derive(Clone, Copy)]
struct Reported {
    params: InitParams,
    config: Config,
}

impl std::fmt::Debug for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reported").finish_non_exhaustive()
    }
}

// SAFETY: the only pointer in it that is not null is the configuration's address, which is set anew for each call.
unsafe impl Send for Reported {}

impl Encoder {
    /// Width and height up to which pictures may grow.
    pub(crate) const fn largest(&self) -> (u32, u32) {
        self.size
    }

    /// Changes settings for the pictures that are handed over from now on; `anew`: the next is an IDR and rate control
    /// starts again. Only on the thread that hands pictures over. `edit` gets the settings as they are.
    ///
    /// # Errors
    /// What the driver refuses: the encoder then stays as it was.
    pub(crate) fn reconfigure(
        &self,
        anew: bool,
        edit: impl FnOnce(&mut InitParams, &mut Config),
    ) -> Result<()> {
        let session = &self.session;
        let api = session.nvenc.api;
        let mut reported = lock(&self.reported);
        let mut new = *reported;
        edit(&mut new.params, &mut new.config);
        let mut config = new.config;
        new.params.config = &raw mut config;
        let mut params =
            Reconfigure { version: api.of(Shape::Reconfigure), init: new.params, ..Reconfigure::default() };
        params.set_flags(anew, api.init_params_size());
        let _current = session.context.enter()?;
        // SAFETY: whole structures of the asserted sizes; the driver copies the configuration.
        let status = unsafe { (session.nvenc.functions.reconfigure)(session.handle, &raw mut params) };
        status.ok("nvEncReconfigureEncoder")?;
        *reported = new;
        Ok(())
    }

    /// Ends the stream: every picture that is held becomes due, and outputs may be locked. Afterwards pictures may
    /// go in again. Nothing is done when nothing went in since the last time, and nothing has ended where it is
    /// [`Submitted::Busy`]: the call is to be made again.
    ///
    /// # Errors
    /// A lost device, or the driver's refusal.
    pub(crate) fn end_stream(&self) -> Result<Submitted> {
        if !self.unended.load(Ordering::Acquire) {
            return Ok(Submitted::Due);
        }
        let session = &self.session;
        let mut params = PicParams {
            version: session.nvenc.api.of(Shape::PicParams),
            flags: picture::EOS,
            ..PicParams::default()
        };
        let _current = session.context.enter()?;
        // SAFETY: a whole structure of the asserted size, without buffers.
        let status = unsafe { (session.nvenc.functions.encode)(session.handle, &raw mut params) };
        if status == NvStatus::ENCODER_BUSY {
            return Ok(Submitted::Busy);
        }
        status.ok("nvEncEncodePicture (end of stream)")?;
        self.unended.store(false, Ordering::Release);
        Ok(Submitted::Due)
    }
}
