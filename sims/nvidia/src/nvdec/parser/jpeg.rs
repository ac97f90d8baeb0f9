//! Motion JPEG: a packet is a picture.

use crate::nvdec::abi::{CUVIDPICPARAMS, Zeroed, chroma_format, codec};
use crate::policy;

use super::format;
use super::machine::FrameCodec;
use super::stage::{Coded, Flow, Shown, Stage};

/// See the module's text.
pub(super) struct Jpeg;

/// Size and chroma format of the first frame header.
fn header(data: &[u8]) -> Option<(u32, u32, u32)> {
    let mut at = 2;
    loop {
        while *data.get(at)? != 0xff || *data.get(at + 1)? == 0xff {
            at += 1;
        }
        let marker = data[at + 1];
        at += 2;
        if matches!(marker, 0 | 1 | 0xd0..=0xd8) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let body = data.get(at..at + length.max(8))?;
            let size = |index: usize| u32::from(u16::from_be_bytes([body[index], body[index + 1]]));
            let chroma = match (body[7], body.get(9).map(|sampling| (sampling >> 4, sampling & 15))) {
                (1, _) => chroma_format::MONOCHROME,
                (_, Some((1, 1))) => chroma_format::YUV444,
                (_, Some((2, 1))) => chroma_format::YUV422,
                _ => chroma_format::YUV420,
            };
            let (height, width) = (size(3), size(5));
            return (width > 0 && height > 0).then_some((width, height, chroma));
        }
        at += length;
    }
}

impl FrameCodec for Jpeg {
    fn frame(&mut self, data: &[u8], timestamp: Option<i64>, stage: &mut Stage) -> Flow {
        let Some((width, height, chroma)) = header(data) else { return Ok(()) };
        let mut format = format::basic(codec::JPEG, width, height);
        format.chroma_format = chroma;
        format.min_num_decode_surfaces = Stage::surfaces_for(0, policy::PARSER_EXTRA_SURFACES);
        stage.sequence(&format, &[])?;
        let surface = stage.acquire_any();
        let mut params = CUVIDPICPARAMS::zeroed();
        params.PicWidthInMbs = width.div_ceil(16) as i32;
        params.FrameHeightInMbs = height.div_ceil(16) as i32;
        params.CurrPicIdx = *surface;
        params.intra_pic_flag = 1;
        let coded = Coded { data: data.to_vec(), offsets: vec![0], ..Coded::default() };
        stage.decode(&mut params, &coded, true);
        let shown =
            Shown { surface, progressive: true, top_field_first: true, repeat_first_field: 0, timestamp };
        stage.show(shown);
        Ok(())
    }

    fn reset(&mut self) {}
}
