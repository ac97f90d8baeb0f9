//! The conversions against the exact reference, on three machines: the kernels' own text compiled for the CPU, the simulated
//! driver with its independent formulas, and (by hand) a real GPU.

#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cases;
mod gpu;
mod judge;
mod on_cpu;
mod simulated;

use cases::Case;

use crate::backend::nvidia::simulated::skipped;
use crate::frame::DevicePlane;

/// Planes as a decoder or a pool lays them out: rows with room between them, from some offset on.
struct Laid {
    bytes: Vec<u8>,
    /// Addresses count from the beginning of `bytes`.
    planes: Vec<DevicePlane>,
}

impl Laid {
    /// The planes when the bytes are at `address`.
    fn at(&self, address: u64) -> Vec<DevicePlane> {
        self.planes.iter().map(|plane| DevicePlane { address: address + plane.address, ..*plane }).collect()
    }
}

/// Something that runs kernels.
trait Machine {
    /// Converts; gives the bytes of the target afterwards.
    fn convert(&self, case: &Case, source: &Laid, target: &Laid) -> Vec<u8>;
}
