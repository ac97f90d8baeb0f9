//! What a module image says about its kernels: names, and for PTX the parameters. Nothing is compiled.

use std::ffi::c_void;

use super::abi::CuResult;

/// A kernel in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Size and alignment of each parameter; none where the image does not say it in a form we read.
    pub(super) parameters: Option<Vec<(u32, u32)>>,
}

/// A module image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Image {
    /// Names are known.
    Named(Vec<Entry>),
    /// A fat binary, whose parts are compressed: any name may be in it.
    Opaque,
}

/// Longest PTX text.
const LONGEST: usize = 64 << 20;
const ELF: [u8; 4] = [0x7f, b'E', b'L', b'F'];
const FATBIN: u32 = 0xba55_ed50;
/// The structure that `nvcc` puts around a fat binary.
const FATBIN_WRAPPER: u32 = 0x4662_43b1;

/// Reads an image of unknown size: as much of it as its own format says.
///
/// # Safety
/// `image` is not null and points to a whole image: PTX text with a NUL at its end, a cubin or a fat binary.
pub(super) unsafe fn read(image: *const c_void) -> Result<Image, CuResult> {
    let bytes = image.cast::<u8>();
    let mut magic = [0_u8; 4];
    for (at, byte) in magic.iter_mut().enumerate() {
        // SAFETY: every format has four bytes, but a text may end earlier, at its NUL.
        *byte = unsafe { bytes.add(at).read() };
        if *byte == 0 {
            break;
        }
    }
    if magic == ELF {
        // SAFETY: the promise is passed on.
        return unsafe { cubin(bytes) }.ok_or(CuResult::ERROR_INVALID_IMAGE);
    }
    match u32::from_le_bytes(magic) {
        FATBIN | FATBIN_WRAPPER => return Ok(Image::Opaque),
        _ => {}
    }
    let mut length = 0;
    // SAFETY: the text ends in NUL, and nothing behind it is read.
    while unsafe { bytes.add(length).read() } != 0 {
        length += 1;
        if length == LONGEST {
            return Err(CuResult::ERROR_INVALID_IMAGE);
        }
    }
    // SAFETY: `length` bytes were just read.
    text(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// PTX of known size.
pub(super) fn text(bytes: &[u8]) -> Result<Image, CuResult> {
    let text = std::str::from_utf8(bytes).map_err(|_| CuResult::ERROR_INVALID_IMAGE)?;
    let text = without_comments(text);
    if !text.contains(".version") {
        return Err(CuResult::ERROR_INVALID_IMAGE);
    }
    entries(&text).map(Image::Named).ok_or(CuResult::ERROR_INVALID_PTX)
}

fn without_comments(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        let (end, mark) = match rest.as_bytes().get(1) {
            Some(b'/') => (rest.find('\n').unwrap_or(rest.len()), "\n"),
            Some(b'*') => (rest[2..].find("*/").map_or(rest.len(), |end| end + 4), " "),
            _ => (1, "/"),
        };
        clean.push_str(mark);
        rest = rest.get(end..).unwrap_or("");
    }
    clean.push_str(rest);
    clean
}

fn entries(text: &str) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    for part in text.split(".entry").skip(1) {
        let part = part.trim_start();
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%')))?;
        let (name, rest) = part.split_at(end);
        let list = match rest.trim_start().strip_prefix('(') {
            Some(list) => list.split_once(')')?.0,
            None => "",
        };
        let parameters = list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(parameter);
        found.push(Entry { name: name.to_owned(), parameters: Some(parameters.collect::<Option<_>>()?) });
    }
    Some(found)
}

/// `.param .u64 .ptr .global .align 8 name` or `.param .align 8 .b8 name[16]`: size and alignment.
fn parameter(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_whitespace().peekable();
    if words.next()? != ".param" {
        return None;
    }
    let (mut align, mut size, mut is_pointer) = (None, None, false);
    while let Some(word) = words.next() {
        match word {
            // The alignment behind `.ptr` is of what it points to.
            ".ptr" => is_pointer = true,
            ".align" => {
                let value = words.next()?.parse().ok()?;
                if !is_pointer {
                    align = Some(value);
                }
            }
            _ if word.starts_with('.') => {
                let bits = word.trim_start_matches(|c: char| !c.is_ascii_digit());
                if size.is_none()
                    && let Ok(bits @ (8 | 16 | 32 | 64 | 128)) = bits.parse::<u32>()
                {
                    size = Some(bits / 8);
                }
            }
            _ => break,
        }
    }
    let size = size?;
    let count = match text.split_once('[') {
        Some((_, count)) => count.trim_end().strip_suffix(']')?.trim().parse().ok()?,
        None => 1_u32,
    };
    let align = align.unwrap_or(size).max(1);
    // A launch has at most 32764 bytes of parameters.
    (align.is_power_of_two() && align <= 128).then_some(())?;
    size.checked_mul(count).filter(|size| *size <= 32764).map(|size| (size, align))
}

/// Names of the sections `.text.NAME` of an ELF file.
///
/// # Safety
/// `bytes` points to a whole ELF file.
unsafe fn cubin(bytes: *const u8) -> Option<Image> {
    const HEADER: usize = 64;
    const SECTION: usize = 64;
    // SAFETY: an ELF64 file begins with a header of this size.
    let header = unsafe { std::slice::from_raw_parts(bytes, HEADER) };
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    // 64 bits, little endian, section headers of the usual size.
    if header[4] != 2 || header[5] != 1 || usize::from(half(58)) != SECTION {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(header[40..48].try_into().ok()?)).ok()?;
    let (count, names) = (usize::from(half(60)), usize::from(half(62)));
    if offset > LONGEST || names >= count {
        return None;
    }
    // SAFETY: the header says that the section headers are there.
    let sections = unsafe { std::slice::from_raw_parts(bytes.add(offset), count * SECTION) };
    let long = |section: usize, at: usize| {
        let at = section * SECTION + at;
        sections[at..at + 8]
            .try_into()
            .ok()
            .map(u64::from_le_bytes)
            .and_then(|value| usize::try_from(value).ok())
    };
    let (start, size) = (long(names, 24)?, long(names, 32)?);
    if start > LONGEST || size > LONGEST {
        return None;
    }
    // SAFETY: the section header says that the names are there.
    let names = unsafe { std::slice::from_raw_parts(bytes.add(start), size) };
    let name_of = |section: usize| {
        let at = section * SECTION;
        let at = u32::from_le_bytes(sections[at..at + 4].try_into().ok()?) as usize;
        let name = names.get(at..)?.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(name).ok()?.strip_prefix(".text.").map(str::to_owned)
    };
    Some(Image::Named((0..count).filter_map(name_of).map(|name| Entry { name, parameters: None }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ptx: &str) -> Vec<Entry> {
        match text(ptx.as_bytes()).unwrap() {
            Image::Named(entries) => entries,
            Image::Opaque => panic!("text is never opaque"),
        }
    }

    #[test]
    fn entries_and_their_parameters_are_found() {
        let ptx = ".version 7.0 // a .entry in a comment (\n.target sm_75\n/* .entry no() */\n\
            .visible .entry first(\n .param .u64 .ptr .global .align 16 a,\n .param .f32 b, .param .u8 c)\n{ ret; }\n\
            .entry second (.param .align 8 .b8 d[24]) { ret; }\n.entry third { div.s32 %r1, %r2, %r3; }";
        let found = named(ptx);
        let names: Vec<_> = found.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["first", "second", "third"]);
        assert_eq!(found[0].parameters, Some(vec![(8, 8), (4, 4), (1, 1)]));
        assert_eq!(found[1].parameters, Some(vec![(24, 8)]));
        assert_eq!(found[2].parameters, Some(vec![]));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert_eq!(text(b"hello"), Err(CuResult::ERROR_INVALID_IMAGE));
        assert_eq!(text(b".version 7.0 .entry f(.param .u64"), Err(CuResult::ERROR_INVALID_PTX));
        assert_eq!(text(b".version 7.0 .entry f(.param .b8 x[99999999])"), Err(CuResult::ERROR_INVALID_PTX));
        // SAFETY: a text with its NUL, shorter than any magic number.
        assert_eq!(unsafe { read(c"ab".as_ptr().cast()) }, Err(CuResult::ERROR_INVALID_IMAGE));
    }
}
