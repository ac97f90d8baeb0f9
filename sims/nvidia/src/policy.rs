//! Decisions where NVIDIA documents nothing. Each is made here, once, with its reason; the rest of the code refers to
//! these names. "Measured" means that a real driver was asked: `facts/` has its answers, and `tests/simulation/facts.rs` holds the
//! simulation against them. What is not said to be measured or documented is assumed.

/// What CUDA calls answer after the loss of the device: `CUDA_ERROR_LAUNCH_FAILED`, the sticky error that clients
/// meet in practice when a card falls off the bus or is reset.
pub const CUDA_DEVICE_LOST: u32 = 719;

/// What calls answer to a stream, event, module, function, array or linker that is dead or was none:
/// `CUDA_ERROR_INVALID_HANDLE`. For null this is measured on 580.159; a real driver may as well crash on others.
pub const CUDA_BAD_HANDLE: u32 = 400;

/// The launch of a kernel that the simulation has no equal of: `CUDA_ERROR_NOT_SUPPORTED`. A real driver launches it.
pub const CUDA_KERNEL_WITHOUT_REFERENCE: u32 = 801;

/// What `cuCtxPushCurrent` answers to null: `CUDA_ERROR_INVALID_VALUE`, measured on 580.159.
pub const CUDA_PUSH_NULL: u32 = 1;

/// `cuMemAllocHost` of no bytes succeeds (measured on 580.159); that it gives null is assumed.
pub const CUDA_NO_HOST_BYTES_IS_NULL: bool = true;

/// An input buffer, output buffer or resource that is none: `NV_ENC_ERR_INVALID_PARAM`.
pub const NVENC_BAD_HANDLE: u32 = 8;

/// A call that does not fit the state: a second lock, an unlock without a lock, a second initialisation:
/// `NV_ENC_ERR_INVALID_CALL`.
pub const NVENC_WRONG_STATE: u32 = 9;

/// A picture whose buffers are locked or in use, or that does not fit the session: `NV_ENC_ERR_INVALID_PARAM`. That it
/// fails is documented, how is not.
pub const NVENC_PICTURE_REFUSED: u32 = 8;

/// The registration of a resource whose pitch cannot be: `NV_ENC_ERR_INVALID_PARAM`.
pub const NVENC_PITCH_REFUSED: u32 = 8;

/// The registration of a resource that does not lie inside one allocation: `NV_ENC_ERR_RESOURCE_REGISTER_FAILED`.
pub const NVENC_RANGE_REFUSED: u32 = 23;

/// A second mapping of a resource: `NV_ENC_ERR_MAP_FAILED`.
pub const NVENC_DOUBLE_MAP: u32 = 16;

/// The quality and tuning that the presets of older NVENC clients stand for: default, HP, HQ, BD, low latency
/// (default, HQ, HP), lossless (default, HP). NVIDIA's migration guide gives no single answer; these are its
/// nearest ones.
pub const LEGACY_PRESETS: [(u8, u32); 9] =
    [(4, 1), (1, 1), (5, 1), (5, 1), (4, 2), (5, 2), (1, 2), (4, 4), (1, 4)];

/// The bit rate in a preset's configuration. The driver's figure depends on nothing the client said before the
/// query, and clients set their own.
pub const PRESET_BIT_RATE: u32 = 2_000_000;

/// `NvEncodeAPICreateInstance` fills the list of every client whose version word is not zero, whatever version it
/// names (measured on 580.159); what does not fit is refused when a session is opened.
pub const CREATE_INSTANCE_TAKES_ANY_VERSION: bool = true;

/// The list has a function in its one reserved place too (a pointer was measured there on 580.159). What it does is
/// unknown; here it answers `NV_ENC_ERR_UNIMPLEMENTED`.
pub const RESERVED_FUNCTION: u32 = 22;

/// `OpenEncodeSessionEx` on a card without encoder leaves no handle (measured on 580.159). A session refused for other
/// reasons leaves one that has to be destroyed, as the documentation says of all.
pub const UNSUPPORTED_DEVICE_LEAVES_HANDLE: bool = false;

/// Asynchronous mode on Linux: `NV_ENC_ERR_UNSUPPORTED_PARAM`.
pub const ASYNC_REFUSED: u32 = 12;

/// `LockBitstream` of an output that is not ready to be locked, out of order or not submitted at all:
/// `NV_ENC_ERR_INVALID_PARAM`.
pub const LOCK_REFUSED: u32 = 8;

/// A forbidden change in `ReconfigureEncoder`: `NV_ENC_ERR_INVALID_PARAM`; the session stays as it was.
pub const RECONFIGURE_REFUSED: u32 = 8;

/// The picture after an end of stream is an IDR: nothing that was flushed may be referred to.
pub const IDR_AFTER_EOS: bool = true;

/// A session whose CUDA context is gone: `NV_ENC_ERR_INVALID_DEVICE`.
pub const CONTEXT_GONE: u32 = 4;

/// RGB input is converted with the matrix and range of the VUI; without one, BT.601 limited range, which is what
/// players assume of video that says nothing.
pub const RGB_DEFAULT_MATRIX: u8 = 6;

/// B pictures in sessions without picture type decision are refused with `NV_ENC_ERR_UNSUPPORTED_PARAM`: they need
/// the client's picture order counts, which are not modelled.
pub const CLIENT_B_PICTURES: u32 = 12;

/// Pictures that an encode session has memory for besides its buffers: four that may be referred to and the one that is
/// coded.
pub const ENCODE_REFERENCES: usize = 5;

/// B pictures of AV1, and the framing with lengths, are refused with `NV_ENC_ERR_UNSUPPORTED_PARAM`, and no preset has
/// them. Cards have both; how pictures that are not shown come out of them nobody has documented.
pub const AV1_B_PICTURES: u32 = 12;

/// Extra bytes in each row of an input buffer, over the width rounded up to 64: a client that takes the width for
/// the pitch is found out.
pub const INPUT_PITCH_EXTRA: u32 = 64;

/// Pictures made in advance for a session with canned pictures; one GOP if that is shorter.
pub const CANNED_PICTURES: u32 = 30;

/// A session whose coded pictures are more than this is not recorded for replaying: they are held in memory.
pub const RECORDING_BYTES: u64 = 1 << 30;

/// A picture may leave its size at zero and means the session's: FFmpeg does so for pictures in device memory, and
/// real drivers take them.
pub const PICTURE_SIZE_MAY_BE_ZERO: bool = true;

/// An input is the client's again when the output submitted with it is locked, even if its own picture comes in a
/// later output, provided that EncodePicture has answered SUCCESS since. The documentation can be read more strictly
/// (the output that holds the picture), but NVIDIA's samples and FFmpeg pair inputs and outputs by submission.
pub const INPUT_FREE_WITH_ITS_OUTPUT: bool = true;

/// Sizes with an odd number of rows or columns are refused: their chroma planes would have half samples, and nothing
/// says how the driver rounds.
pub const EVEN_SIZES_ONLY: bool = true;

/// What `cuvidMapVideoFrame` answers for a surface that is mapped already: `CUDA_ERROR_ALREADY_MAPPED`, measured on
/// 580.159.
pub const NVDEC_MAPPED_ALREADY: u32 = 208;

/// What `cuvidMapVideoFrame` answers when as many frames are mapped as there are output surfaces:
/// `CUDA_ERROR_MAP_FAILED`, measured on 580.159.
pub const NVDEC_MAP_TOO_MANY: u32 = 205;

/// What `cuvidUnmapVideoFrame` answers to an address that is not mapped: `CUDA_ERROR_NOT_MAPPED`, measured on 580.159.
pub const NVDEC_UNMAP_NOT_MAPPED: u32 = 211;

/// What `cuvidReconfigureDecoder` answers to a size beyond the maximum: `CUDA_ERROR_INVALID_VALUE`, measured on 580.159.
pub const NVDEC_RECONFIGURE_REFUSED: u32 = 1;

/// `cuvidReconfigureDecoder` takes 0 decode surfaces (measured on 580.159); that the decoder then keeps those that it
/// has is assumed.
pub const NVDEC_RECONFIGURE_NONE_KEEPS: bool = true;

/// What `cuvidCreateDecoder` answers to a codec, chroma format, depth or output format that the card does not have:
/// `CUDA_ERROR_NOT_SUPPORTED`, measured on 580.159.
pub const NVDEC_NOT_OFFERED: u32 = 801;

/// What `cuvidCreateDecoder` answers to a size outside of the capabilities: `CUDA_ERROR_INVALID_VALUE`, measured on
/// 580.159.
pub const NVDEC_SIZE_REFUSED: u32 = 1;

/// What `cuvidCreateDecoder` answers to an output format of another depth than the source's:
/// `CUDA_ERROR_INVALID_VALUE`, measured on 580.159.
pub const NVDEC_OUTPUT_DEPTH: u32 = 1;

/// What `cuvidCreateDecoder` answers to a target without rows or columns: `CUDA_ERROR_OUT_OF_MEMORY`, measured on
/// 580.159.
pub const NVDEC_TARGET_EMPTY: u32 = 2;

/// What `cuvidCreateDecoder` answers to a target that is too large: `CUDA_ERROR_INVALID_SOURCE`, measured on 580.159
/// with 8192x8192 for H.264. That the codec's largest picture is the limit is assumed.
pub const NVDEC_TARGET_TOO_LARGE: u32 = 300;

/// What `cuvidCreateDecoder` answers to `enableHistogram` where the capabilities offer none (assumed):
/// `CUDA_ERROR_NOT_SUPPORTED`.
pub const NVDEC_HISTOGRAM_REFUSED: u32 = 801;

/// Decoded pictures that wait for an engine before `cuvidDecodePicture` blocks (documented as the depth of the
/// driver's queue; that the one being decoded does not count is assumed).
pub const NVDEC_QUEUE: usize = 4;

/// Rows of mapped frames are a multiple of this many bytes, as on cards since Kepler.
pub const NVDEC_PITCH: usize = 512;

/// Y, U and V of what lies outside the target rectangle: black of limited range.
pub const NVDEC_BLACK: [u16; 3] = [16, 128, 128];

/// Most decode surfaces of a decoder, and most output surfaces: measured on 580.159.
pub const NVDEC_MAX_DECODE_SURFACES: std::ffi::c_ulong = 32;
/// See [`NVDEC_MAX_DECODE_SURFACES`].
pub const NVDEC_MAX_OUTPUT_SURFACES: std::ffi::c_ulong = 64;

/// Largest number of decode surfaces a parser goes around: the decoder takes no more (D-9).
pub const PARSER_MAX_SURFACES: u32 = 32;

/// What `min_num_decode_surfaces` has beyond the stream's decoded picture buffer: one for the picture in decoding.
/// Measured on 580.159 for H.264 (where the buffer is the greater of `max_dec_frame_buffering` and the reference
/// frames) and for VP9 (eight reference slots); taken over for the other codecs.
pub const PARSER_EXTRA_SURFACES: usize = 1;

/// The same for HEVC, beyond `sps_max_dec_pic_buffering_minus1 + 1`. Measured on 580.159.
pub const PARSER_EXTRA_SURFACES_HEVC: usize = 3;

/// The same in all for VP8, which keeps three. Measured on 580.159.
pub const PARSER_SURFACES_VP8: u8 = 8;

/// Columns and rows at multiples of which a mapped picture can begin; a display area that begins in between is moved to the
/// left and up, and stays as large as it is. Measured on 580.159.
pub const NVDEC_BEGINNING: u32 = 4;

/// Bytes of a unit, start code included, by which the parser sees that a picture begins with it, without waiting for
/// the unit's end. Measured on 580.159 with H.264.
pub const PARSER_HEAD: usize = 256;

/// The same for HEVC. Measured on 580.159.
pub const PARSER_HEAD_HEVC: usize = 16;

/// A picture that is only held back for the display delay is shown when so many have been decoded after it. Measured
/// on 580.159.
pub const PARSER_DECODED_BY_THEN: u64 = 3;

/// Pictures at the beginning whose timestamps are checked for being in decoding order. NVIDIA's published parser for
/// Vulkan has this number, and the answers of 580.159 agree with it.
pub const PARSER_TIMES_CHECKED: u32 = 16;

/// Frame rate for missing timestamps where the stream says none, as in NVIDIA's published parser for Vulkan.
pub const PARSER_DEFAULT_RATE: (u32, u32) = (30, 1);

/// `ulClockRate` 0.
pub const PARSER_DEFAULT_CLOCK: u64 = 10_000_000;

/// Bytes of one unit between start codes, or of one picture, beyond which a stream is taken for garbage and dropped.
pub const PARSER_UNIT_LIMIT: usize = 64 << 20;

/// Bytes of a parameter set NAL unit beyond which it is not taken.
pub const PARSER_SET_LIMIT: usize = 64 << 10;

/// What `cuvidParseVideoData` answers when a callback refused: nothing is said of it. Measured on 580.159.
pub const PARSER_CALLBACK_FAILED: u32 = 0;

/// What `cuvidCreateVideoParser` answers to a codec that does not exist: `CUDA_ERROR_INVALID_SOURCE`. Measured on
/// 580.159.
pub const PARSER_NO_CODEC: u32 = 300;

/// What the parser answers to a dead handle: `CUDA_ERROR_INVALID_HANDLE`.
pub const PARSER_DEAD_HANDLE: u32 = 400;

/// What the parser answers to a call inside a callback or beside another thread's call: `CUDA_ERROR_INVALID_VALUE`.
/// The real parser has no defence; here nothing is parsed, so that the breach cannot damage the simulation.
pub const PARSER_BUSY: u32 = 1;

/// An IDR picture with `no_output_of_prior_pics_flag` throws away the pictures that wait for output, as the standards
/// say.
pub const PARSER_OBEYS_NO_OUTPUT_OF_PRIOR_PICTURES: bool = true;

/// Where an H.264 stream does not begin with an IDR picture, decoding starts at the first picture that has a recovery
/// point or only I slices; what comes before is not decoded.
pub const PARSER_STARTS_AT_I_SLICES: bool = true;
