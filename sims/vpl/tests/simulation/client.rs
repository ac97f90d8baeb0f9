//! A small client of the runtime itself, without a dispatcher.

use std::path::Path;

use simulated_onevpl::abi::*;

macro_rules! runtime {
    ($($name:ident($($type:ty),*);)*) => {
        pub struct Runtime {
            $(pub $name: unsafe extern "C" fn($($type),*) -> Status,)*
            _library: libloading::Library,
        }

        impl Runtime {
            pub fn open() -> Self {
                unsafe {
                    let library = libloading::Library::new(crate::common::library()).unwrap();
                    Self { $($name: *library.get(stringify!($name).as_bytes()).unwrap(),)* _library: library }
                }
            }
        }
    };
}

runtime! {
    MFXInitialize(mfxInitializationParam, *mut Handle);
    MFXClose(Handle);
    MFXQueryVersion(Handle, *mut u32);
    MFXJoinSession(Handle, Handle);
    MFXDisjoinSession(Handle);
    MFXVideoCORE_SetHandle(Handle, i32, Handle);
    MFXVideoCORE_GetHandle(Handle, i32, *mut Handle);
    MFXVideoCORE_QueryPlatform(Handle, *mut mfxPlatform);
    MFXVideoCORE_SyncOperation(Handle, Handle, u32);
    MFXVideoDECODE_Query(Handle, *const mfxVideoParam, *mut mfxVideoParam);
    MFXVideoDECODE_DecodeHeader(Handle, *mut mfxBitstream, *mut mfxVideoParam);
    MFXVideoDECODE_QueryIOSurf(Handle, *const mfxVideoParam, *mut mfxFrameAllocRequest);
    MFXVideoDECODE_Init(Handle, *const mfxVideoParam);
    MFXVideoDECODE_Close(Handle);
    MFXVideoDECODE_DecodeFrameAsync(Handle, *mut mfxBitstream, *mut mfxFrameSurface1, *mut *mut mfxFrameSurface1, *mut Handle);
    MFXVideoENCODE_Query(Handle, *const mfxVideoParam, *mut mfxVideoParam);
    MFXVideoENCODE_Init(Handle, *const mfxVideoParam);
    MFXVideoENCODE_Reset(Handle, *const mfxVideoParam);
    MFXVideoENCODE_Close(Handle);
    MFXVideoENCODE_GetVideoParam(Handle, *mut mfxVideoParam);
    MFXVideoENCODE_EncodeFrameAsync(Handle, *const mfxEncodeCtrl, *mut mfxFrameSurface1, *mut mfxBitstream, *mut Handle);
    MFXVideoVPP_Init(Handle, *const mfxVideoParam);
    MFXVideoVPP_ProcessFrameAsync(Handle, *mut mfxFrameSurface1, *mut *mut mfxFrameSurface1);
    MFXMemory_GetSurfaceForEncode(Handle, *mut *mut mfxFrameSurface1);
}

/// A coded frame with its times and type.
pub struct Packet {
    pub data: Vec<u8>,
    pub pts: u64,
    pub dts: i64,
    pub kind: u16,
}

impl Runtime {
    pub fn session(&self) -> Handle {
        let mut session = std::ptr::null_mut();
        let parameters = mfxInitializationParam {
            AccelerationMode: ACCEL_MODE_VIA_VAAPI,
            ..mfxInitializationParam::zeroed()
        };
        assert_eq!(unsafe { (self.MFXInitialize)(parameters, &mut session) }, ERR_NONE);
        session
    }

    pub fn sync(&self, session: Handle, point: Handle) -> Status {
        unsafe { (self.MFXVideoCORE_SyncOperation)(session, point, 10_000) }
    }

    pub fn header(&self, session: Handle, codec: u32, stream: &mut mfxBitstream) -> (Status, mfxVideoParam) {
        let mut parameters = mfxVideoParam::zeroed();
        parameters.mfx_mut().CodecId = codec;
        parameters.IOPattern = IOPATTERN_OUT_VIDEO_MEMORY;
        let status = unsafe { (self.MFXVideoDECODE_DecodeHeader)(session, stream, &mut parameters) };
        (status, parameters)
    }

    /// A decoder for what the data begin with.
    pub fn decoder(&self, session: Handle, codec: u32, data: &mut [u8]) -> mfxVideoParam {
        let (status, parameters) = self.header(session, codec, &mut bitstream(data, true));
        assert_eq!(status, ERR_NONE);
        assert_eq!(unsafe { (self.MFXVideoDECODE_Init)(session, &parameters) }, ERR_NONE);
        parameters
    }

    /// One call; the surface and the sync point, or the status.
    pub fn decode(
        &self,
        session: Handle,
        stream: *mut mfxBitstream,
        work: *mut mfxFrameSurface1,
    ) -> Result<(*mut mfxFrameSurface1, Handle), Status> {
        let (mut out, mut point) = (std::ptr::null_mut(), std::ptr::null_mut());
        let status =
            unsafe { (self.MFXVideoDECODE_DecodeFrameAsync)(session, stream, work, &mut out, &mut point) };
        if status == ERR_NONE { Ok((out, point)) } else { Err(status) }
    }

    /// Feeds a buffer into the runtime's own surfaces (or ends, without one), and keeps what comes out; the status it ended with.
    pub fn feed(
        &self,
        session: Handle,
        mut stream: Option<&mut mfxBitstream>,
        shown: &mut Vec<u8>,
    ) -> Status {
        loop {
            let place = stream.as_mut().map_or(std::ptr::null_mut(), |stream| &raw mut **stream);
            match self.decode(session, place, std::ptr::null_mut()) {
                Ok((frame, point)) => {
                    assert_eq!(self.sync(session, point), ERR_NONE);
                    self.read(frame, shown);
                    self.release(frame);
                }
                Err(WRN_DEVICE_BUSY) => std::thread::sleep(std::time::Duration::from_millis(1)),
                Err(status) => return status,
            }
        }
    }

    /// Appends what a surface shows.
    pub fn read(&self, frame: *mut mfxFrameSurface1, shown: &mut Vec<u8>) {
        unsafe {
            let table = &*(*frame).FrameInterface;
            assert_eq!(table.Map.unwrap()(frame, MAP_READ), ERR_NONE);
            let (info, data) = (&(*frame).Info, &(*frame).Data);
            let bytes = if info.FourCC == FOURCC_P010 { 2 } else { 1 };
            let (x, y) = (usize::from(info.CropX), usize::from(info.CropY));
            let (width, height) = (usize::from(info.CropW), usize::from(info.CropH));
            let pitch = usize::from(data.Pitch);
            for (plane, x, top, columns, rows) in [
                (data.Y, x, y, width, height),
                (data.UV, x / 2 * 2, y / 2, width.div_ceil(2) * 2, height.div_ceil(2)),
            ] {
                for row in 0..rows {
                    let start = plane.add(pitch * (top + row) + x * bytes);
                    shown.extend_from_slice(std::slice::from_raw_parts(start, columns * bytes));
                }
            }
            assert_eq!(table.Unmap.unwrap()(frame), ERR_NONE);
            assert!((*frame).Data.Y.is_null(), "pointers are there between Map and Unmap alone");
        }
    }

    pub fn release(&self, frame: *mut mfxFrameSurface1) {
        assert_eq!(unsafe { (*(*frame).FrameInterface).Release.unwrap()(frame) }, ERR_NONE);
    }

    /// A surface for the encoder with a moving pattern.
    pub fn input(&self, session: Handle, number: usize) -> *mut mfxFrameSurface1 {
        let mut frame = std::ptr::null_mut();
        assert_eq!(unsafe { (self.MFXMemory_GetSurfaceForEncode)(session, &mut frame) }, ERR_NONE);
        unsafe {
            let table = &*(*frame).FrameInterface;
            assert_eq!(table.Map.unwrap()(frame, MAP_WRITE), ERR_NONE);
            paint(&*frame, number);
            assert_eq!(table.Unmap.unwrap()(frame), ERR_NONE);
            (*frame).Data.TimeStamp = number as u64 * 3600;
        }
        frame
    }

    /// Encodes so many frames, and ends.
    pub fn encode(
        &self,
        session: Handle,
        room: usize,
        frames: usize,
        mut control: impl FnMut(usize) -> u16,
    ) -> Vec<Packet> {
        let mut packets = Vec::new();
        for number in 0.. {
            let frame = if number < frames { self.input(session, number) } else { std::ptr::null_mut() };
            let asked = mfxEncodeCtrl { FrameType: control(number), ..mfxEncodeCtrl::zeroed() };
            let mut buffer = vec![0; room];
            let mut stream = empty(&mut buffer);
            let mut point = std::ptr::null_mut();
            let status = unsafe {
                (self.MFXVideoENCODE_EncodeFrameAsync)(session, &asked, frame, &mut stream, &mut point)
            };
            if !frame.is_null() {
                self.release(frame);
            }
            match status {
                ERR_NONE => {
                    assert_eq!(stream.DataLength, 0, "nothing is there before the sync point");
                    assert_eq!(self.sync(session, point), ERR_NONE);
                    let data = buffer[..stream.DataLength as usize].to_vec();
                    packets.push(Packet {
                        data,
                        pts: stream.TimeStamp,
                        dts: stream.DecodeTimeStamp,
                        kind: stream.FrameType,
                    });
                }
                ERR_MORE_DATA if number >= frames => return packets,
                ERR_MORE_DATA => {}
                status => panic!("frame {number}: {status}"),
            }
        }
        unreachable!()
    }
}

/// Grey, with a bar that moves.
fn paint(frame: &mfxFrameSurface1, number: usize) {
    let (pitch, rows) = (usize::from(frame.Data.Pitch), usize::from(frame.Info.Height));
    let width = usize::from(frame.Info.Width);
    for row in 0..rows {
        let line = unsafe { std::slice::from_raw_parts_mut(frame.Data.Y.add(pitch * row), width) };
        for (x, sample) in line.iter_mut().enumerate() {
            *sample = if (x + row + number * 4) % 64 < 8 { 220 } else { 60 + (row % 64) as u8 };
        }
    }
    for row in 0..rows / 2 {
        unsafe { std::slice::from_raw_parts_mut(frame.Data.UV.add(pitch * row), width) }.fill(128);
    }
}

/// Data in a bitstream.
pub fn bitstream(data: &mut [u8], whole: bool) -> mfxBitstream {
    mfxBitstream {
        Data: data.as_mut_ptr(),
        DataLength: data.len() as u32,
        MaxLength: data.len() as u32,
        TimeStamp: TIMESTAMP_UNKNOWN,
        DataFlag: if whole { BITSTREAM_COMPLETE_FRAME } else { 0 },
        ..mfxBitstream::zeroed()
    }
}

/// A bitstream to be filled.
pub fn empty(buffer: &mut [u8]) -> mfxBitstream {
    mfxBitstream { Data: buffer.as_mut_ptr(), MaxLength: buffer.len() as u32, ..mfxBitstream::zeroed() }
}

/// Parameters of an encoder for 320x176.
pub fn encoding(codec: u32) -> mfxVideoParam {
    let mut parameters = mfxVideoParam::zeroed();
    parameters.IOPattern = IOPATTERN_IN_VIDEO_MEMORY;
    let mfx = parameters.mfx_mut();
    (mfx.CodecId, mfx.RateControlMethod, mfx.TargetKbps) = (codec, RATECONTROL_VBR, 600);
    (mfx.GopRefDist, mfx.GopPicSize) = (1, 100);
    let info = &mut mfx.FrameInfo;
    (info.FourCC, info.ChromaFormat) = (FOURCC_NV12, CHROMAFORMAT_YUV420);
    (info.Width, info.Height, info.CropW, info.CropH) = (320, 176, 320, 176);
    (info.FrameRateExtN, info.FrameRateExtD, info.PicStruct) = (25, 1, PICSTRUCT_PROGRESSIVE);
    parameters
}

/// The frames of an IVF file.
pub fn ivf(path: &Path) -> Vec<Vec<u8>> {
    let data = std::fs::read(path).unwrap();
    let (mut frames, mut at) = (Vec::new(), 32);
    while at < data.len() {
        let size = u32::from_le_bytes(data[at..at + 4].try_into().unwrap()) as usize;
        frames.push(data[at + 12..at + 12 + size].to_vec());
        at += 12 + size;
    }
    frames
}
