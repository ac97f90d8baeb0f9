//! The exact conversion: one sample at a time, in 64-bit floats, straight from the definitions of H.273. Slow
//! by design; it is what the fast paths are judged by.

use crate::error::Result;
use crate::frame::{Frame, HostSurface};
use crate::pixel::{Chroma, PixelFormat, PlaneLayout};

use super::color_plan::{ColorPlan, depth};
use super::convert::{Converted, Site, host, with_surface};
use super::float::unit;
use super::matrix::{Quantiser, apply};
use super::packed::channels;

/// Converts as [`super::convert()`] does, exactly.
///
/// # Errors
/// As [`super::convert()`].
pub fn convert(frame: &Frame, to: PixelFormat) -> Result<Converted> {
    let host = host(frame)?;
    if host.format() == to {
        return Ok(Converted { frame: frame.clone(), assumed_color: false, site: Site::Cpu });
    }
    let plan = ColorPlan::of(frame, to)?;
    let size = host.dimensions();
    let (width, height) = (size.width() as usize, size.height() as usize);
    let source = Source { host, plan: &plan };
    let mut out = crate::memory::room(to.frame_bytes(size))?;

    if let Some(layout) = channels(to) {
        for y in 0..height {
            for x in 0..width {
                let mut pixel = [255_u8; 4];
                for (at, value) in layout.rgb.into_iter().zip(source.rgb(x, y)) {
                    pixel[at] = (value.clamp(0.0, 1.0) * 255.0 + 0.5).floor() as u8;
                }
                if let Some((at, alpha)) = layout.alpha.zip(source.alpha(x, y)) {
                    pixel[at] = alpha;
                }
                out.extend_from_slice(&pixel[..layout.step]);
            }
        }
    } else if to.layout() == PlaneLayout::PlanarRgbF32 {
        for channel in 0..3 {
            for y in 0..height {
                for x in 0..width {
                    let value = source.rgb(x, y)[channel].clamp(0.0, 1.0) as f32;
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
    } else {
        let quantisers = Quantiser::pair(depth(to), plan.range, plan.matrix.identity);
        let (shift_x, shift_y) = to.chroma().map_or((0, 0), Chroma::shifts);
        for index in 0..to.plane_count() {
            let components: &[usize] = match (to.layout(), index) {
                (PlaneLayout::SemiPlanar, 1) => &[1, 2],
                (_, 0) => &[0],
                (_, 1) => &[1],
                _ => &[2],
            };
            let (across, down) = if index == 0 { (1, 1) } else { (1 << shift_x, 1 << shift_y) };
            for y in 0..height.div_ceil(down) {
                for x in 0..width.div_ceil(across) {
                    for &component in components {
                        let mut sum = 0.0;
                        let mut count = 0.0;
                        for (dx, dy) in (0..down).flat_map(|dy| (0..across).map(move |dx| (dx, dy))) {
                            let (x, y) = (x * across + dx, y * down + dy);
                            if x < width && y < height {
                                sum += source.yuv(x, y)[component];
                                count += 1.0;
                            }
                        }
                        let code = quantisers[usize::from(component > 0)].code(sum / count);
                        write_code(to, code, &mut out);
                    }
                }
            }
        }
    }
    let surface = HostSurface::from_packed(to, size, out)?;
    Ok(Converted { frame: with_surface(frame, surface, &plan), assumed_color: plan.assumed, site: Site::Cpu })
}

fn write_code(format: PixelFormat, code: u16, out: &mut Vec<u8>) {
    match format {
        PixelFormat::P010 => out.extend_from_slice(&(code << 6).to_le_bytes()),
        PixelFormat::P016 => out.extend_from_slice(&(code << 4).to_le_bytes()),
        _ if format.bytes_per_sample() == 1 => out.push(code as u8),
        _ => out.extend_from_slice(&code.to_le_bytes()),
    }
}

struct Source<'a> {
    host: &'a HostSurface,
    plan: &'a ColorPlan,
}

impl Source<'_> {
    fn byte(&self, plane: usize, row: usize, at: usize) -> u8 {
        self.host.plane(plane).and_then(|p| p.row(row).get(at)).copied().unwrap_or(0)
    }

    /// The code of a component at a luma position; chroma is repeated.
    fn code(&self, component: usize, x: usize, y: usize) -> f64 {
        let format = self.host.format();
        let (shift_x, shift_y) = match format.chroma() {
            Some(chroma) if component > 0 => chroma.shifts(),
            _ => (0, 0),
        };
        let (x, y) = (x >> shift_x, y >> shift_y);
        let (plane, at) = match format.layout() {
            PlaneLayout::SemiPlanar if component > 0 => (1, x * 2 + component - 1),
            _ => (component, x),
        };
        if format.bytes_per_sample() == 1 {
            return f64::from(self.byte(plane, y, at));
        }
        let word = u16::from_le_bytes([self.byte(plane, y, at * 2), self.byte(plane, y, at * 2 + 1)]);
        match format {
            PixelFormat::P010 => f64::from(word >> 6),
            // 16-bit samples on the scale of 12-bit ones.
            PixelFormat::P016 => f64::from(word) / 16.0,
            _ => f64::from(word),
        }
    }

    fn yuv(&self, x: usize, y: usize) -> [f64; 3] {
        let format = self.host.format();
        if format.is_rgb() {
            return apply(&self.plan.matrix.to_yuv, self.rgb(x, y));
        }
        let [luma, chroma] = Quantiser::pair(depth(format), self.plan.range, self.plan.matrix.identity);
        let value = |component| chroma.value(self.code(component, x, y));
        let gray = format.chroma() == Some(Chroma::Monochrome);
        let (cb, cr) = if gray { (0.0, 0.0) } else { (value(1), value(2)) };
        [luma.value(self.code(0, x, y)), cb, cr]
    }

    fn rgb(&self, x: usize, y: usize) -> [f64; 3] {
        let format = self.host.format();
        if let Some(layout) = channels(format) {
            return layout.rgb.map(|at| f64::from(self.byte(0, y, x * layout.step + at)) / 255.0);
        }
        if format.is_rgb() {
            return [0, 1, 2].map(|plane| {
                let word = [0, 1, 2, 3].map(|i| self.byte(plane, y, x * 4 + i));
                f64::from(unit(f32::from_le_bytes(word)))
            });
        }
        apply(&self.plan.matrix.to_rgb, self.yuv(x, y))
    }

    fn alpha(&self, x: usize, y: usize) -> Option<u8> {
        let layout = channels(self.host.format())?;
        layout.alpha.map(|at| self.byte(0, y, x * layout.step + at))
    }
}
