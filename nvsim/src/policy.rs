//! Decisions where NVIDIA documents nothing (marked ASSUMED in the semantics list). Each is made here, once, with
//! its reason; the rest of the code refers to these names.

/// What CUDA calls answer after the loss of the device: `CUDA_ERROR_LAUNCH_FAILED`, the sticky error that clients
/// meet in practice when a card falls off the bus or is reset.
pub const CUDA_DEVICE_LOST: u32 = 719;

/// What `cuvidMapVideoFrame` answers when as many frames are mapped as there are output surfaces: the code that clients
/// report from the field (`CUDA_ERROR_MAP_FAILED`).
pub const NVDEC_MAP_TOO_MANY: u32 = 205;

/// What `cuvidReconfigureDecoder` answers to a size beyond the maximum: `CUDA_ERROR_INVALID_VALUE`.
pub const NVDEC_RECONFIGURE_REFUSED: u32 = 1;

/// Decoded pictures that wait for an engine before `cuvidDecodePicture` blocks (documented as the depth of the
/// driver's queue; that the one being decoded does not count is assumed).
pub const NVDEC_QUEUE: usize = 4;

/// Rows of mapped frames are a multiple of this many bytes, as on cards since Kepler.
pub const NVDEC_PITCH: usize = 512;

/// Y, U and V of what lies outside the target rectangle: black of limited range.
pub const NVDEC_BLACK: [u16; 3] = [16, 128, 128];

/// Most decode surfaces of a decoder, and most output surfaces: limits met in practice.
pub const NVDEC_MAX_DECODE_SURFACES: u64 = 32;
/// See [`NVDEC_MAX_DECODE_SURFACES`].
pub const NVDEC_MAX_OUTPUT_SURFACES: u64 = 64;
