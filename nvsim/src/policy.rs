//! Decisions where NVIDIA documents nothing (marked ASSUMED in the semantics list). Each is made here, once, with
//! its reason; the rest of the code refers to these names.

/// What CUDA calls answer after the loss of the device: `CUDA_ERROR_LAUNCH_FAILED`, the sticky error that clients
/// meet in practice when a card falls off the bus or is reset.
pub const CUDA_DEVICE_LOST: u32 = 719;

/// Largest number of decode surfaces a parser goes around: the decoder takes no more (D-9).
pub const PARSER_MAX_SURFACES: u32 = 32;

/// What `min_num_decode_surfaces` has beyond the stream's decoded picture buffer and the display delay: one for the
/// picture in decoding, one for the picture whose display callback was the last.
pub const PARSER_EXTRA_SURFACES: u64 = 2;

/// `ulClockRate` 0.
pub const PARSER_DEFAULT_CLOCK: u64 = 10_000_000;

/// Bytes of one unit between start codes, or of one picture, beyond which a stream is taken for garbage and dropped.
pub const PARSER_UNIT_LIMIT: usize = 64 << 20;

/// What `cuvidParseVideoData` answers when a callback refused: `CUDA_ERROR_UNKNOWN`.
pub const PARSER_CALLBACK_FAILED: u32 = 999;

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
