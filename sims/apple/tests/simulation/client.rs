//! Apple's interface as a client declares it, without anything of the simulation.

use std::ffi::{CString, c_char, c_void};
use std::sync::Mutex;

use libloading::Library;

pub type Ref = *const c_void;
pub const NULL: Ref = std::ptr::null();

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, packed(4))]
pub struct Time {
    pub value: i64,
    pub timescale: i32,
    pub flags: u32,
    pub epoch: i64,
}

pub const INVALID: Time = Time { value: 0, timescale: 0, flags: 0, epoch: 0 };

pub fn time(value: i64, timescale: i32) -> Time {
    Time { value, timescale, flags: 1, epoch: 0 }
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Range {
    pub location: isize,
    pub length: isize,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub struct Timing {
    pub duration: Time,
    pub pts: Time,
    pub dts: Time,
}

#[repr(C)]
pub struct DecodeCallback {
    pub callback: extern "C" fn(*mut c_void, *mut c_void, i32, u32, Ref, Time, Time),
    pub refcon: *mut c_void,
}

/// A method of Objective-C, before it has its type.
pub type Method = unsafe extern "C" fn();

pub type EncodeCallback = extern "C" fn(*mut c_void, *mut c_void, i32, u32, Ref);

macro_rules! functions {
    ($(fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub struct Frameworks {
            library: Library,
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?),*
        }

        impl Frameworks {
            pub fn open() -> &'static Self {
                let library = unsafe { Library::new("libVideoToolbox.so") }.unwrap();
                $(let $name = unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes()).unwrap() };)*
                Box::leak(Box::new(Self { library, $($name),* }))
            }
        }
    };
}

functions! {
    fn CFRetain(Ref) -> Ref;
    fn CFRelease(Ref);
    fn CFGetTypeID(Ref) -> usize;
    fn CFEqual(Ref, Ref) -> u8;
    fn CFStringCreateWithBytes(Ref, *const u8, isize, u32, u8) -> Ref;
    fn CFStringGetCString(Ref, *mut u8, isize, u32) -> u8;
    fn CFStringGetLength(Ref) -> isize;
    fn CFStringGetTypeID() -> usize;
    fn CFNumberCreate(Ref, isize, *const c_void) -> Ref;
    fn CFNumberGetValue(Ref, isize, *mut c_void) -> u8;
    fn CFBooleanGetValue(Ref) -> u8;
    fn CFDataCreate(Ref, *const u8, isize) -> Ref;
    fn CFDataGetBytePtr(Ref) -> *const u8;
    fn CFDataGetLength(Ref) -> isize;
    fn CFDataGetBytes(Ref, Range, *mut u8);
    fn __CFStringMakeConstantString(*const c_char) -> Ref;
    fn CMTimeMake(i64, i32) -> Time;
    fn CFDictionaryCreate(Ref, *const Ref, *const Ref, isize, Ref, Ref) -> Ref;
    fn CFDictionaryCreateMutable(Ref, isize, Ref, Ref) -> Ref;
    fn CFDictionarySetValue(Ref, Ref, Ref);
    fn CFDictionaryGetValue(Ref, Ref) -> Ref;
    fn CFArrayCreate(Ref, *const Ref, isize, Ref) -> Ref;
    fn CFArrayGetCount(Ref) -> isize;
    fn CFArrayGetValueAtIndex(Ref, isize) -> Ref;
    fn CMVideoFormatDescriptionCreate(Ref, u32, i32, i32, Ref, *mut Ref) -> i32;
    fn CMVideoFormatDescriptionCreateFromH264ParameterSets(Ref, usize, *const *const u8, *const usize, i32, *mut Ref) -> i32;
    fn CMVideoFormatDescriptionGetH264ParameterSetAtIndex(Ref, usize, *mut *const u8, *mut usize, *mut usize, *mut i32) -> i32;
    fn CMVideoFormatDescriptionCreateFromHEVCParameterSets(Ref, usize, *const *const u8, *const usize, i32, Ref, *mut Ref) -> i32;
    fn CMVideoFormatDescriptionGetHEVCParameterSetAtIndex(Ref, usize, *mut *const u8, *mut usize, *mut usize, *mut i32) -> i32;
    fn CMFormatDescriptionGetExtension(Ref, Ref) -> Ref;
    fn CMBlockBufferCreateWithMemoryBlock(Ref, *mut c_void, usize, Ref, Ref, usize, usize, u32, *mut Ref) -> i32;
    fn CMBlockBufferReplaceDataBytes(*const c_void, Ref, usize, usize) -> i32;
    fn CMBlockBufferCopyDataBytes(Ref, usize, usize, *mut c_void) -> i32;
    fn CMBlockBufferGetDataLength(Ref) -> usize;
    fn CMSampleBufferCreateReady(Ref, Ref, Ref, isize, isize, *const Timing, isize, *const usize, *mut Ref) -> i32;
    fn CMSampleBufferGetDataBuffer(Ref) -> Ref;
    fn CMSampleBufferGetFormatDescription(Ref) -> Ref;
    fn CMSampleBufferGetPresentationTimeStamp(Ref) -> Time;
    fn CMSampleBufferGetDecodeTimeStamp(Ref) -> Time;
    fn CMSampleBufferGetSampleAttachmentsArray(Ref, u8) -> Ref;
    fn CVPixelBufferCreate(Ref, usize, usize, u32, Ref, *mut Ref) -> i32;
    fn CVPixelBufferPoolCreatePixelBuffer(Ref, Ref, *mut Ref) -> i32;
    fn CVPixelBufferLockBaseAddress(Ref, u64) -> i32;
    fn CVPixelBufferUnlockBaseAddress(Ref, u64) -> i32;
    fn CVPixelBufferGetBaseAddressOfPlane(Ref, usize) -> *mut u8;
    fn CVPixelBufferGetBytesPerRowOfPlane(Ref, usize) -> usize;
    fn CVPixelBufferGetWidthOfPlane(Ref, usize) -> usize;
    fn CVPixelBufferGetHeightOfPlane(Ref, usize) -> usize;
    fn CVPixelBufferGetWidth(Ref) -> usize;
    fn CVPixelBufferGetPixelFormatType(Ref) -> u32;
    fn CVPixelBufferGetIOSurface(Ref) -> Ref;
    fn CVBufferCopyAttachments(Ref, u32) -> Ref;
    fn CVBufferSetAttachment(Ref, Ref, Ref, u32);
    fn VTDecompressionSessionCreate(Ref, Ref, Ref, Ref, *const DecodeCallback, *mut Ref) -> i32;
    fn VTDecompressionSessionDecodeFrame(Ref, Ref, u32, *mut c_void, *mut u32) -> i32;
    fn VTDecompressionSessionWaitForAsynchronousFrames(Ref) -> i32;
    fn VTDecompressionSessionFinishDelayedFrames(Ref) -> i32;
    fn VTDecompressionSessionCanAcceptFormatDescription(Ref, Ref) -> u8;
    fn VTDecompressionSessionInvalidate(Ref);
    fn VTCompressionSessionCreate(Ref, i32, i32, u32, Ref, Ref, Ref, Option<EncodeCallback>, *mut c_void, *mut Ref) -> i32;
    fn VTCompressionSessionPrepareToEncodeFrames(Ref) -> i32;
    fn VTCompressionSessionEncodeFrame(Ref, Ref, Time, Time, Ref, *mut c_void, *mut u32) -> i32;
    fn VTCompressionSessionCompleteFrames(Ref, Time) -> i32;
    fn VTCompressionSessionGetPixelBufferPool(Ref) -> Ref;
    fn VTCompressionSessionInvalidate(Ref);
    fn VTSessionSetProperty(Ref, Ref, Ref) -> i32;
    fn VTSessionCopyProperty(Ref, Ref, Ref, *mut Ref) -> i32;
    fn VTSessionCopySupportedPropertyDictionary(Ref, *mut Ref) -> i32;
    fn VTCopySupportedPropertyDictionaryForEncoder(i32, i32, u32, Ref, *mut Ref, *mut Ref) -> i32;
    fn VTCopyVideoEncoderList(Ref, *mut Ref) -> i32;
    fn VTIsHardwareDecodeSupported(u32) -> u8;
    fn VTRegisterSupplementalVideoDecoderIfAvailable(u32);
    fn VTPixelTransferSessionCreate(Ref, *mut Ref) -> i32;
    fn VTPixelTransferSessionTransferImage(Ref, Ref, Ref) -> i32;
    fn VTPixelTransferSessionInvalidate(Ref);
    fn MTLCreateSystemDefaultDevice() -> Ref;
    fn CVMetalTextureCacheCreate(Ref, Ref, Ref, Ref, *mut Ref) -> i32;
    fn CVMetalTextureCacheCreateTextureFromImage(Ref, Ref, Ref, Ref, usize, usize, usize, usize, *mut Ref) -> i32;
    fn CVMetalTextureGetTexture(Ref) -> Ref;
    fn object_getClass(Ref) -> Ref;
    fn sel_registerName(*const c_char) -> Ref;
    fn class_getMethodImplementation(Ref, Ref) -> Option<Method>;
    fn objc_release(Ref);
    fn objc_autoreleasePoolPush() -> *mut c_void;
    fn objc_autoreleasePoolPop(*mut c_void);
}

pub const UTF8: u32 = 0x0800_0100;

impl Frameworks {
    /// The address of exported data.
    pub fn symbol(&self, name: &str) -> Ref {
        let name = CString::new(name).unwrap();
        *unsafe { self.library.get::<Ref>(name.as_bytes_with_nul()) }
            .unwrap_or_else(|error| panic!("{name:?}: {error}"))
    }

    /// The object behind an exported constant.
    pub fn constant(&self, name: &str) -> Ref {
        unsafe { *self.symbol(name).cast::<Ref>() }
    }

    pub fn truth(&self, value: bool) -> Ref {
        self.constant(if value { "kCFBooleanTrue" } else { "kCFBooleanFalse" })
    }

    pub fn string(&self, text: &str) -> Ref {
        unsafe { (self.CFStringCreateWithBytes)(NULL, text.as_ptr(), text.len() as isize, UTF8, 0) }
    }

    pub fn text(&self, string: Ref) -> String {
        let mut bytes = [0u8; 256];
        assert_eq!(unsafe { (self.CFStringGetCString)(string, bytes.as_mut_ptr(), 256, UTF8) }, 1);
        bytes.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()
    }

    pub fn number(&self, value: i64) -> Ref {
        unsafe { (self.CFNumberCreate)(NULL, 4, std::ptr::from_ref(&value).cast()) }
    }

    pub fn int(&self, number: Ref) -> i64 {
        let mut value = 0i64;
        assert_eq!(unsafe { (self.CFNumberGetValue)(number, 4, std::ptr::from_mut(&mut value).cast()) }, 1);
        value
    }

    /// A dictionary that takes the values over.
    pub fn dictionary(&self, pairs: &[(Ref, Ref)]) -> Ref {
        let (keys, values) = ("kCFTypeDictionaryKeyCallBacks", "kCFTypeDictionaryValueCallBacks");
        unsafe {
            let made = (self.CFDictionaryCreateMutable)(NULL, 0, self.symbol(keys), self.symbol(values));
            for &(key, value) in pairs {
                (self.CFDictionarySetValue)(made, key, value);
                (self.CFRelease)(value);
            }
            made
        }
    }

    pub fn release(&self, reference: Ref) {
        unsafe { (self.CFRelease)(reference) };
    }

    pub fn set(&self, session: Ref, key: &str, value: Ref) -> i32 {
        unsafe { (self.VTSessionSetProperty)(session, self.constant(key), value) }
    }

    pub fn copy(&self, session: Ref, key: &str) -> Result<Ref, i32> {
        let mut value = NULL;
        let status = unsafe { (self.VTSessionCopyProperty)(session, self.constant(key), NULL, &mut value) };
        if status == 0 { Ok(value) } else { Err(status) }
    }

    /// Rows of a plane without padding.
    pub fn plane(&self, buffer: Ref, index: usize, row: usize) -> Vec<u8> {
        unsafe {
            let (pitch, height) = (
                (self.CVPixelBufferGetBytesPerRowOfPlane)(buffer, index),
                (self.CVPixelBufferGetHeightOfPlane)(buffer, index),
            );
            let base = (self.CVPixelBufferGetBaseAddressOfPlane)(buffer, index);
            assert!(pitch > row && !base.is_null());
            (0..height).flat_map(|y| std::slice::from_raw_parts(base.add(y * pitch), row).to_vec()).collect()
        }
    }

    /// A sample buffer with a copy of the bytes.
    pub fn sample(&self, format: Ref, bytes: &[u8], pts: Time) -> Ref {
        let (mut block, mut sample) = (NULL, NULL);
        let timing = Timing { duration: INVALID, pts, dts: INVALID };
        let size = bytes.len();
        unsafe {
            let made = (self.CMBlockBufferCreateWithMemoryBlock)(
                NULL,
                std::ptr::null_mut(),
                size,
                NULL,
                NULL,
                0,
                size,
                0,
                &mut block,
            );
            assert_eq!(made, 0);
            assert_eq!((self.CMBlockBufferReplaceDataBytes)(bytes.as_ptr().cast(), block, 0, size), 0);
            assert_eq!(
                (self.CMSampleBufferCreateReady)(NULL, block, format, 1, 1, &timing, 1, &size, &mut sample),
                0
            );
            (self.CFRelease)(block);
        }
        sample
    }
}

/// What a decoder's callback was told.
#[derive(Debug, Clone)]
pub struct Shown {
    pub number: usize,
    pub status: i32,
    pub info: u32,
    pub pts: i64,
    /// Y, Cb, Cr as planar formats of ffmpeg have them; empty where there was no image.
    pub bytes: Vec<u8>,
    pub format: u32,
    pub surface: bool,
    /// The attachment of the matrix.
    pub matrix: Option<String>,
}

/// A decoder session with what came out of it.
pub struct Decoder {
    pub frameworks: &'static Frameworks,
    pub session: Ref,
    pub shown: Box<(&'static Frameworks, Mutex<Vec<Shown>>)>,
}

impl Decoder {
    /// Takes the specification and the attributes over.
    pub fn new(
        frameworks: &'static Frameworks,
        format: Ref,
        specification: Ref,
        attributes: Ref,
    ) -> Result<Self, i32> {
        let shown = Box::new((frameworks, Mutex::default()));
        let record = DecodeCallback { callback: keep, refcon: std::ptr::from_ref(&*shown).cast_mut().cast() };
        let mut session = NULL;
        let status = unsafe {
            (frameworks.VTDecompressionSessionCreate)(
                NULL,
                format,
                specification,
                attributes,
                &record,
                &mut session,
            )
        };
        for given in [specification, attributes] {
            if !given.is_null() {
                frameworks.release(given);
            }
        }
        if status == 0 { Ok(Self { frameworks, session, shown }) } else { Err(status) }
    }

    pub fn decode(&self, format: Ref, bytes: &[u8], pts: i64, number: usize, flags: u32) -> i32 {
        let sample = self.frameworks.sample(format, bytes, time(pts, 90_000));
        let refcon = std::ptr::without_provenance_mut(number);
        let status = unsafe {
            (self.frameworks.VTDecompressionSessionDecodeFrame)(
                self.session,
                sample,
                flags,
                refcon,
                std::ptr::null_mut(),
            )
        };
        self.frameworks.release(sample);
        status
    }

    pub fn close(self) -> Vec<Shown> {
        unsafe {
            (self.frameworks.VTDecompressionSessionInvalidate)(self.session);
            (self.frameworks.CFRelease)(self.session);
        }
        self.shown.1.lock().unwrap().clone()
    }

    pub fn finish(self) -> Vec<Shown> {
        assert_eq!(
            unsafe { (self.frameworks.VTDecompressionSessionWaitForAsynchronousFrames)(self.session) },
            0
        );
        self.close()
    }
}

extern "C" fn keep(
    context: *mut c_void,
    refcon: *mut c_void,
    status: i32,
    info: u32,
    image: Ref,
    pts: Time,
    _duration: Time,
) {
    let context = unsafe { &*context.cast::<(&'static Frameworks, Mutex<Vec<Shown>>)>() };
    let f = context.0;
    let mut shown = Shown {
        number: refcon.addr(),
        status,
        info,
        pts: pts.value,
        bytes: Vec::new(),
        format: 0,
        surface: false,
        matrix: None,
    };
    if !image.is_null() {
        unsafe {
            shown.format = (f.CVPixelBufferGetPixelFormatType)(image);
            shown.surface = !(f.CVPixelBufferGetIOSurface)(image).is_null();
            let attachments = (f.CVBufferCopyAttachments)(image, 1);
            let matrix = (f.CFDictionaryGetValue)(attachments, f.constant("kCVImageBufferYCbCrMatrixKey"));
            shown.matrix = (!matrix.is_null()).then(|| f.text(matrix));
            (f.CFRelease)(attachments);
            let wide = matches!(&shown.format.to_be_bytes(), b"x420" | b"xf20");
            let size = if wide { 2 } else { 1 };
            assert_eq!((f.CVPixelBufferLockBaseAddress)(image, 1), 0);
            let luma = f.plane(image, 0, (f.CVPixelBufferGetWidth)(image) * size);
            let chroma = f.plane(image, 1, (f.CVPixelBufferGetWidthOfPlane)(image, 1) * 2 * size);
            assert_eq!((f.CVPixelBufferUnlockBaseAddress)(image, 1), 0);
            let halves = |half: usize| {
                chroma.chunks_exact(2 * size).flat_map(move |pair| pair[half * size..][..size].to_vec())
            };
            shown.bytes = luma.into_iter().chain(halves(0)).chain(halves(1)).collect();
            if wide {
                // From the top of 16 bits to the bottom.
                shown.bytes = shown
                    .bytes
                    .chunks_exact(2)
                    .flat_map(|pair| (u16::from_le_bytes([pair[0], pair[1]]) >> 6).to_le_bytes())
                    .collect();
            }
        }
    }
    context.1.lock().unwrap().push(shown);
}

/// A coded sample, as an encoder's callback got it.
#[derive(Debug, Clone)]
pub struct Sample {
    pub number: usize,
    pub status: i32,
    pub info: u32,
    pub bytes: Vec<u8>,
    pub pts: i64,
    /// None where there is none.
    pub dts: Option<i64>,
    pub sync: bool,
    pub depends: bool,
}

/// What an encoder's callback leaves: the samples, and the format of the last.
pub struct Kept {
    frameworks: &'static Frameworks,
    pub samples: Mutex<Vec<Sample>>,
    pub format: Mutex<usize>,
}

/// An encoder session with what came out of it.
pub struct Encoder {
    pub frameworks: &'static Frameworks,
    pub session: Ref,
    pub kept: Box<Kept>,
}

impl Encoder {
    /// Takes the specification over. The pool is of this pixel format.
    pub fn new(
        f: &'static Frameworks,
        size: (usize, usize),
        codec: &[u8; 4],
        pixels: &[u8; 4],
        specification: Ref,
    ) -> Result<Self, i32> {
        let kept = Box::new(Kept { frameworks: f, samples: Mutex::default(), format: Mutex::default() });
        let attributes = f.dictionary(&[(
            f.constant("kCVPixelBufferPixelFormatTypeKey"),
            f.number(u32::from_be_bytes(*pixels).into()),
        )]);
        let mut session = NULL;
        let (width, height) = (size.0 as i32, size.1 as i32);
        let refcon = std::ptr::from_ref(&*kept).cast_mut().cast();
        let codec = u32::from_be_bytes(*codec);
        let status = unsafe {
            (f.VTCompressionSessionCreate)(
                NULL,
                width,
                height,
                codec,
                specification,
                attributes,
                NULL,
                Some(keep_sample),
                refcon,
                &mut session,
            )
        };
        f.release(attributes);
        if !specification.is_null() {
            f.release(specification);
        }
        if status == 0 { Ok(Self { frameworks: f, session, kept }) } else { Err(status) }
    }

    /// A source frame: a gradient that moves.
    pub fn picture(&self, number: usize) -> Ref {
        let f = self.frameworks;
        let mut buffer = NULL;
        unsafe {
            let pool = (f.VTCompressionSessionGetPixelBufferPool)(self.session);
            assert_eq!((f.CVPixelBufferPoolCreatePixelBuffer)(NULL, pool, &mut buffer), 0);
            assert_eq!((f.CVPixelBufferLockBaseAddress)(buffer, 0), 0);
            let wide =
                matches!(&(f.CVPixelBufferGetPixelFormatType)(buffer).to_be_bytes(), b"x420" | b"xf20");
            for plane in 0..2 {
                let base = (f.CVPixelBufferGetBaseAddressOfPlane)(buffer, plane);
                let pitch = (f.CVPixelBufferGetBytesPerRowOfPlane)(buffer, plane);
                let samples = (f.CVPixelBufferGetWidthOfPlane)(buffer, plane) * (plane + 1);
                for y in 0..(f.CVPixelBufferGetHeightOfPlane)(buffer, plane) {
                    for x in 0..samples {
                        let value = (40 + (x + 2 * y + 5 * number) % 160) as u8;
                        if wide {
                            base.add(y * pitch + 2 * x + 1).write(value);
                            base.add(y * pitch + 2 * x).write(0);
                        } else {
                            base.add(y * pitch + x).write(value);
                        }
                    }
                }
            }
            assert_eq!((f.CVPixelBufferUnlockBaseAddress)(buffer, 0), 0);
        }
        buffer
    }

    pub fn encode(&self, buffer: Ref, pts: Time, properties: Ref, number: usize) -> i32 {
        let refcon = std::ptr::without_provenance_mut(number);
        unsafe {
            (self.frameworks.VTCompressionSessionEncodeFrame)(
                self.session,
                buffer,
                pts,
                INVALID,
                properties,
                refcon,
                std::ptr::null_mut(),
            )
        }
    }

    /// Codes frames at 25 per second.
    pub fn encode_all(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let buffer = self.picture(number);
            assert_eq!(self.encode(buffer, time(number as i64, 25), NULL, number), 0);
            self.frameworks.release(buffer);
        }
    }

    pub fn complete(&self) -> i32 {
        unsafe { (self.frameworks.VTCompressionSessionCompleteFrames)(self.session, INVALID) }
    }

    /// The samples, and the parameter sets of their format with start codes.
    pub fn close(self) -> (Vec<Sample>, Vec<u8>) {
        let f = self.frameworks;
        unsafe {
            (f.VTCompressionSessionInvalidate)(self.session);
            (f.CFRelease)(self.session);
        }
        let format: Ref = std::ptr::with_exposed_provenance(*self.kept.format.lock().unwrap());
        let mut sets = Vec::new();
        if !format.is_null() {
            sets = self.sets(format);
            f.release(format);
        }
        let samples = self.kept.samples.lock().unwrap().clone();
        (samples, sets)
    }

    /// The parameter sets in the format's record, which is how both codecs tell them.
    fn sets(&self, format: Ref) -> Vec<u8> {
        let f = self.frameworks;
        let atoms = f.constant("kCMFormatDescriptionExtension_SampleDescriptionExtensionAtoms");
        let mut sets = Vec::new();
        unsafe {
            let atoms = (f.CMFormatDescriptionGetExtension)(format, atoms);
            for (name, start) in [("avcC", 5), ("hvcC", 22)] {
                let key = f.string(name);
                let data = (f.CFDictionaryGetValue)(atoms, key);
                f.release(key);
                if data.is_null() {
                    continue;
                }
                let bytes = std::slice::from_raw_parts(
                    (f.CFDataGetBytePtr)(data),
                    (f.CFDataGetLength)(data) as usize,
                );
                let mut at = start;
                let arrays = if start == 5 { 2 } else { bytes[at] };
                at += usize::from(start != 5);
                for _ in 0..arrays {
                    let count =
                        if start == 5 { usize::from(bytes[at] & 0x1f) } else { usize::from(bytes[at + 2]) };
                    at += if start == 5 { 1 } else { 3 };
                    for _ in 0..count {
                        let size = usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
                        sets.extend([0, 0, 0, 1]);
                        sets.extend(&bytes[at + 2..at + 2 + size]);
                        at += 2 + size;
                    }
                }
            }
        }
        sets
    }
}

extern "C" fn keep_sample(context: *mut c_void, refcon: *mut c_void, status: i32, info: u32, buffer: Ref) {
    let kept = unsafe { &*context.cast::<Kept>() };
    let f = kept.frameworks;
    let mut sample = Sample {
        number: refcon.addr(),
        status,
        info,
        bytes: Vec::new(),
        pts: 0,
        dts: None,
        sync: false,
        depends: false,
    };
    if !buffer.is_null() {
        unsafe {
            let block = (f.CMSampleBufferGetDataBuffer)(buffer);
            sample.bytes = vec![0; (f.CMBlockBufferGetDataLength)(block)];
            assert_eq!(
                (f.CMBlockBufferCopyDataBytes)(
                    block,
                    0,
                    sample.bytes.len(),
                    sample.bytes.as_mut_ptr().cast()
                ),
                0
            );
            sample.pts = (f.CMSampleBufferGetPresentationTimeStamp)(buffer).value;
            let dts = (f.CMSampleBufferGetDecodeTimeStamp)(buffer);
            sample.dts = (dts.flags & 1 == 1).then_some(dts.value);
            let attachments = (f.CMSampleBufferGetSampleAttachmentsArray)(buffer, 0);
            let first = (f.CFArrayGetValueAtIndex)(attachments, 0);
            let get = |key: &str| (f.CFDictionaryGetValue)(first, f.constant(key));
            sample.sync = get("kCMSampleAttachmentKey_NotSync").is_null();
            sample.depends = (f.CFBooleanGetValue)(get("kCMSampleAttachmentKey_DependsOnOthers")) == 1;
            let mut format = kept.format.lock().unwrap();
            if *format == 0 {
                *format = (f.CFRetain)((f.CMSampleBufferGetFormatDescription)(buffer)).expose_provenance();
            }
        }
    }
    kept.samples.lock().unwrap().push(sample);
}

/// Annex B of samples with lengths of four bytes.
pub fn annex_b(sets: &[u8], samples: &[Sample]) -> Vec<u8> {
    let mut stream = sets.to_vec();
    for sample in samples {
        let mut rest = sample.bytes.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let (unit, after) = after.split_at(u32::from_be_bytes(*head) as usize);
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
            rest = after;
        }
    }
    stream
}
