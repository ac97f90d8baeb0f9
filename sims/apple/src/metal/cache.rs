//! `CVMetalTextureCache`: planes of pixel buffers as textures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::work::{Device, Texture};
use crate::core::pointer::{NULL, Ref};
use crate::core::{Out, exports};
use crate::foundation::object::{Held, Kind, Typed, find, held};
use crate::video::pixels::{INVALID_ARGUMENT, Pixels, Samples};
use crate::{OK, Status};

const ERROR: Status = -6660;
/// `kCVReturnPixelBufferNotMetalCompatible`
const NOT_METAL: Status = -6684;

/// The cache: it keeps nothing.
#[derive(Debug)]
struct Cache;

impl Typed for Cache {
    const KIND: Kind = Kind::CVMetalTextureCache;
}

/// `CVMetalTexture`
#[derive(Debug)]
struct CacheTexture {
    texture: Held,
    ended: Arc<AtomicBool>,
}

impl Typed for CacheTexture {
    const KIND: Kind = Kind::CVMetalTexture;

    fn released(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// Bytes of a sample and samples of a pixel of the formats that are simulated: `R8Uint`, `R16Uint`, `RG8Uint`, `RG16Uint`.
const FORMATS: [(usize, u32, u32); 4] = [(13, 1, 1), (23, 2, 1), (33, 1, 2), (63, 2, 2)];

exports! {
    /// A cache of a device.
    fn CVMetalTextureCacheCreate(allocator: Ref, attributes: Ref, device: Ref, textures: Ref, out: Out<Ref>) -> Status = ERROR; {
        if find::<Device>(device).is_none() || out.is_null() {
            return INVALID_ARGUMENT;
        }
        out.put(Held::new(Cache).give());
        OK
    }

    /// A plane of a pixel buffer as a texture, which is to be released.
    fn CVMetalTextureCacheCreateTextureFromImage(allocator: Ref, cache: Ref, image: Ref, attributes: Ref, format: usize, width: usize, height: usize, plane: usize, out: Out<Ref>) -> Status = ERROR; {
        let (Some(_), Some((image, pixels))) = (find::<Cache>(cache), held::<Pixels>(image)) else {
            return INVALID_ARGUMENT;
        };
        if !pixels.metal() {
            return NOT_METAL;
        }
        let Some(of) = pixels.planes.get(plane) else { return INVALID_ARGUMENT };
        let found = FORMATS.iter().find(|(at, ..)| *at == format);
        let wide = matches!(pixels.samples, Samples::Biplanar { depth: 9.., .. });
        let fits = |&&(_, bytes, channels): &&(usize, u32, u32)| {
            (bytes == 2, channels == 2) == (wide, plane == 1) && pixels.samples != Samples::Bgra
        };
        let Some(&(_, bytes, channels)) = found.filter(fits) else { return ERROR };
        if width > of.width || height > of.height || out.is_null() {
            return INVALID_ARGUMENT;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let texture = Texture { _image: image, pixels, plane, size: (width, height), bytes, channels, ended: ended.clone() };
        out.put(Held::new(CacheTexture { texture: Held::new(texture), ended }).give());
        OK
    }

    /// The texture itself, which lives as long.
    fn CVMetalTextureGetTexture(texture: Ref) -> Ref = NULL; {
        find::<CacheTexture>(texture).map_or(NULL, |texture| texture.texture.lend())
    }

    /// Nothing to do.
    fn CVMetalTextureCacheFlush(cache: Ref, options: u64); { find::<Cache>(cache); }
}
