//! Decoders whose pictures are kept: what libavcodec made of the same data before is found again where it is not there. A
//! recording is named after everything that a decoder was given up to a picture.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::codec::CodecError;
use crate::codec::decoder::{Decoded, DecoderCodec, Picture, SoftDecoder};
use crate::core::config;

/// A decoder, or what is left of one.
#[derive(Debug)]
pub(super) struct Recorded {
    decoder: Result<SoftDecoder, CodecError>,
    folder: Option<PathBuf>,
    /// Of all data so far.
    sum: u64,
}

impl Recorded {
    /// As [`SoftDecoder::open_limited`]; with `canned.replay` it works without the library, as far as there are recordings.
    pub(super) fn open(codec: DecoderCodec, headers: &[u8], max_pixels: u64) -> Result<Self, CodecError> {
        let canned = &config().canned;
        let folder = canned.folder.clone().filter(|_| canned.replay);
        let decoder = SoftDecoder::open_limited(codec, headers, max_pixels);
        match decoder {
            Err(error) if folder.is_none() => Err(error),
            decoder => Ok(Self { decoder, folder, sum: fold(fold(OFFSET, &[codec as u8]), headers) }),
        }
    }

    /// As [`SoftDecoder::decode`].
    pub(super) fn decode(&mut self, data: &[u8]) -> Result<(Option<Arc<Picture>>, bool), CodecError> {
        self.sum = fold(self.sum, data);
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{:016x}.picture", self.sum)));
        match (&mut self.decoder, path) {
            (Ok(decoder), path) => {
                let Decoded { picture, damaged, .. } = decoder.decode(data)?;
                if let Some(path) = path {
                    // That it cannot be kept is noticed by who looks for it.
                    let _ = store(&path, picture.as_ref(), damaged);
                }
                Ok((picture.map(Arc::new), damaged))
            }
            (Err(error), path) => path.and_then(|path| load(&path)).ok_or_else(|| error.clone()),
        }
    }
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fold(sum: u64, bytes: &[u8]) -> u64 {
    let sum = bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    (sum ^ bytes.len() as u64).wrapping_mul(0x100_0000_01b3)
}

/// Numbers in front: damaged, whether there is a picture, its size, that of the part that is shown, chroma, depth.
type Head = [u32; 8];

fn store(path: &Path, picture: Option<&Picture>, damaged: bool) -> std::io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let none = Picture::default();
    let shown = picture.unwrap_or(&none);
    let head: Head = [
        u32::from(damaged),
        u32::from(picture.is_some()),
        shown.width,
        shown.height,
        shown.display.0,
        shown.display.1,
        shown.chroma,
        u32::from(shown.depth),
    ];
    let aside =
        path.with_extension(format!("{}.{}.part", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(&aside)?);
    for number in head {
        file.write_all(&number.to_le_bytes())?;
    }
    for plane in &shown.planes {
        file.write_all(plane)?;
    }
    file.flush()?;
    std::fs::rename(aside, path)
}

fn load(path: &Path) -> Option<(Option<Arc<Picture>>, bool)> {
    let data = std::fs::read(path).ok()?;
    let (head, mut rest) = data.split_at_checked(size_of::<Head>())?;
    let mut numbers =
        head.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let head: Head = std::array::from_fn(|_| numbers.next().unwrap_or_default());
    let [damaged, there, width, height, shown_width, shown_height, chroma, depth] = head;
    let mut picture = Picture {
        width,
        height,
        display: (shown_width, shown_height),
        chroma,
        depth: depth as u8,
        ..Picture::default()
    };
    for plane in 0..3 {
        let (columns, rows) = picture.plane_size(plane);
        let (samples, left) = rest.split_at_checked(columns * rows * picture.sample_bytes())?;
        picture.planes[plane] = samples.to_vec();
        rest = left;
    }
    Some(((there != 0).then(|| Arc::new(picture)), damaged != 0))
}
