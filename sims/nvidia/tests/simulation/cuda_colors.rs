//! The software references of the colour kernels: one pixel by hand, what a launch covers, and the faults of a card.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use crate::common::scenario;
use crate::cuda_support::{Cuda, Handle};

const PTX: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry vhw_convert_semi8(.param .align 8 .b8 a[176]) { ret; }
.visible .entry vhw_scale_planar8(.param .align 8 .b8 a[176]) { ret; }
";

/// The structure of arguments: R = Y + Cr, G = Y, B = Y + Cb in codes, chroma around 128.
fn arguments(source: [u64; 3], target: u64, pitch: u64, size: [u32; 4], wide: u32) -> [u8; 176] {
    let mut out = [0; 176];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    for (plane, address) in source.into_iter().enumerate() {
        put(plane * 16, &address.to_le_bytes());
        put(plane * 16 + 8, &pitch.to_le_bytes());
    }
    put(48, &target.to_le_bytes());
    put(56, &64_u64.to_le_bytes());
    for (index, value) in size.into_iter().chain([0, 0, wide, wide]).enumerate() {
        put(96 + index * 4, &value.to_le_bytes());
    }
    for (index, value) in
        [1.0_f32, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 128.0, 255.0].iter().enumerate()
    {
        put(128 + index * 4, &value.to_le_bytes());
    }
    out
}

fn launch(
    cuda: &Cuda,
    function: Handle,
    grid: (u32, u32),
    block: (u32, u32),
    mut argument: [u8; 176],
) -> u32 {
    let mut list: [*mut c_void; 1] = [argument.as_mut_ptr().cast()];
    cuda.cuLaunchKernel(
        function,
        grid.0,
        grid.1,
        1,
        block.0,
        block.1,
        1,
        0,
        null_mut(),
        list.as_mut_ptr(),
        null_mut(),
    )
}

fn upload(cuda: &Cuda, bytes: &[u8]) -> u64 {
    let address = cuda.alloc(bytes.len());
    assert_eq!(cuda.cuMemcpyHtoD_v2(address, bytes.as_ptr().cast(), bytes.len()), 0);
    address
}

#[test]
fn a_picture_by_hand() {
    let outcome = scenario("a_picture_by_hand", &[], || {
        let (cuda, context) = Cuda::ready();
        let module = cuda.module(PTX);
        let convert = cuda.function(module, c"vhw_convert_semi8");
        // Three columns and three rows: chroma of 2 x 2.
        let luma = upload(&cuda, &[100, 101, 102, 0, 103, 104, 250, 0, 0, 0, 7]);
        let chroma = upload(&cuda, &[138, 118, 128, 130, 128, 128, 228, 28]);
        let target = upload(&cuda, &[9; 64 * 3]);
        let picture = arguments([luma, chroma, 0], target, 4, [3, 3, 3, 3], 1);
        assert_eq!(launch(&cuda, convert, (1, 1), (1, 2), picture), 0);
        let bytes = cuda.read(target, 64 * 3);
        assert_eq!(bytes[..10], [90, 100, 110, 91, 101, 111, 104, 102, 102, 9]);
        assert_eq!(bytes[64..73], [93, 103, 113, 94, 104, 114, 252, 250, 250]);
        assert_eq!(bytes[128..138], [0, 0, 0, 0, 0, 0, 0, 7, 107, 9]);
        // A grid of one row of threads makes two rows of pixels.
        assert_eq!(cuda.cuMemsetD8_v2(target, 9, 64 * 3), 0);
        assert_eq!(launch(&cuda, convert, (1, 1), (1, 1), picture), 0);
        let bytes = cuda.read(target, 64 * 3);
        assert_eq!((bytes[64], bytes[128]), (93, 9));
        // Two columns become one, three rows one: the triangle is as wide as the picture shrinks.
        let scale = cuda.function(module, c"vhw_scale_planar8");
        let planes =
            [upload(&cuda, &[10, 30, 50, 70, 90, 110]), upload(&cuda, &[128; 6]), upload(&cuda, &[128; 6])];
        assert_eq!(launch(&cuda, scale, (1, 1), (1, 1), arguments(planes, target, 2, [1, 1, 2, 3], 0)), 0);
        assert_eq!(cuda.read(target, 3), [60, 60, 60]);
        for address in [luma, chroma, target].into_iter().chain(planes) {
            assert_eq!(cuda.cuMemFree_v2(address), 0);
        }
        assert_eq!(cuda.cuModuleUnload(module), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

/// A launch that a card would answer with a fault.
fn faults(name: &str, picture: impl FnOnce(&Cuda, u64) -> [u8; 176]) {
    let outcome = scenario(name, &[], || {
        let (cuda, _) = Cuda::ready();
        let convert = cuda.function(cuda.module(PTX), c"vhw_convert_semi8");
        let memory = cuda.alloc(1024);
        let picture = picture(&cuda, memory);
        assert_eq!(launch(&cuda, convert, (1, 1), (8, 8), picture), 0);
        assert_ne!(cuda.cuCtxSynchronize(), 0);
    });
    outcome.breach("kernel-illegal-address");
}

#[test]
fn a_row_too_many_faults() {
    faults("a_row_too_many_faults", |cuda, memory| {
        // Rows 0 to 3 of chroma are asked for; its memory has three and three quarters.
        let chroma = cuda.alloc(15);
        arguments([memory, chroma, 0], memory + 256, 4, [4, 7, 4, 7], 0)
    });
}

#[test]
fn wide_words_between_words_fault() {
    faults("wide_words_between_words_fault", |_, memory| {
        arguments([memory + 1, memory + 64, 0], memory + 256, 4, [4, 4, 4, 4], 1)
    });
}
