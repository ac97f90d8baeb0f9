//! Statuses of VideoToolbox.
#![expect(missing_docs, reason = "Apple's names")]

use crate::Status;

pub const PROPERTY_NOT_SUPPORTED: Status = -12900;
pub const PROPERTY_READ_ONLY: Status = -12901;
pub const PARAMETER: Status = -12902;
pub const INVALID_SESSION: Status = -12903;
pub const ALLOCATION_FAILED: Status = -12904;
pub const NO_DECODER: Status = -12906;
pub const NO_ENCODER: Status = -12908;
pub const BAD_DATA: Status = -12909;
pub const UNSUPPORTED_DATA: Status = -12910;
pub const ENCODER_MALFUNCTION: Status = -12912;
pub const FORMAT_CHANGE: Status = -12916;
