//! Kernels as the CPU runs them. A module may hold any kernel; those whose name is in this table can be launched.
//!
//! A new one is a [`Kernel`] in a file of its own and a line in [`ALL`]. Its `touches` names every range the launch
//! reads or writes, before it runs: they are checked against the allocations, as the hardware would fault, and held
//! until the kernel is done.

mod convert;
mod fill;
mod picture;
mod scale;

/// A kernel with a software reference.
pub(super) struct Kernel {
    /// Entry name in the module.
    pub(super) name: &'static str,
    /// Size of each parameter. A module that declares others holds another kernel of the same name.
    pub(super) parameters: &'static [u32],
    /// Memory that a launch touches.
    pub(super) touches: fn(&Launch) -> Vec<Touch>,
    /// Does the work of all threads. Called only when all that `touches` named is allocated.
    pub(super) run: fn(&Launch),
}

/// One launch.
pub(super) struct Launch {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    /// The bytes of each parameter, as long as [`Kernel::parameters`] says.
    pub(super) parameters: Vec<Vec<u8>>,
}

/// A range of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) address: u64,
    pub(super) length: u64,
    pub(super) writes: bool,
}

impl Launch {
    /// A parameter as an unsigned number.
    fn number(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        if let Some(given) = self.parameters.get(index) {
            let length = given.len().min(8);
            bytes[..length].copy_from_slice(&given[..length]);
        }
        u64::from_le_bytes(bytes)
    }

    /// Threads along an axis.
    fn threads(&self, axis: usize) -> u64 {
        u64::from(self.grid[axis]) * u64::from(self.block[axis])
    }
}

const ALL: &[Kernel] = &[
    fill::FILL_U8,
    convert::SEMI8,
    convert::SEMI16,
    convert::PLANAR8,
    convert::PLANAR16,
    convert::SHIFT16,
    scale::SEMI8,
    scale::SEMI16,
    scale::PLANAR8,
    scale::PLANAR16,
];

/// The reference for an entry name.
pub(super) fn find(name: &str) -> Option<&'static Kernel> {
    ALL.iter().find(|kernel| kernel.name == name)
}
