//! A simulated NVIDIA driver: one shared object that answers as `libcuda.so.1`, `libnvcuvid.so.1`,
//! `libnvidia-encode.so.1` and (to say how busy a card is) `libnvidia-ml.so.1`, so that a client of NVENC and NVDEC can be run, judged and broken on purpose on a machine
//! without a GPU. Every figure that comes out of it is *simulated*. See the README of this member.

pub mod codec;
pub mod core;
pub mod cuda;
pub mod nvdec;
pub mod nvenc;
pub mod nvml;
pub mod policy;

/// What each library adds to the report at exit.
const SECTIONS: [core::report::Section; 3] = [cuda::SECTION, nvenc::SECTION, nvdec::SECTION];
