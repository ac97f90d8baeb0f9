//! Plain text between Matroska and the timed text of MP4 (3GPP TS 26.245, `tx3g`).

use bytes::Bytes;

/// The sample entry: white text at the bottom centre, in a font of the player's.
pub(super) fn sample_entry() -> Bytes {
    const FONT: &[u8] = b"Arial";
    let font = [&[0, 1, 0, 1, FONT.len() as u8], FONT].concat();
    let fields = [
        // Reserved, the data reference, display flags.
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
        // Horizontally centred, vertically at the bottom; a background that is transparent; the whole region.
        &[1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // The style of all characters: font 1, no face, size 16, white.
        &[0, 0, 0, 0, 0, 1, 0, 16, 0xff, 0xff, 0xff, 0xff],
        &((font.len() + 8) as u32).to_be_bytes(),
        b"ftab",
        &font,
    ]
    .concat();
    [&((fields.len() + 8) as u32).to_be_bytes(), &b"tx3g"[..], &fields].concat().into()
}

/// A sample of timed text that shows this text; `None` for more than a sample can hold.
pub(super) fn to_sample(text: &[u8]) -> Option<Bytes> {
    // Some writers end the text as C does.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let len = u16::try_from(text.len()).ok()?;
    Some([&len.to_be_bytes(), text].concat().into())
}

/// The text that a sample of timed text shows; `None` for what cannot be read. Its styles are left behind.
pub(super) fn of_sample(sample: &Bytes) -> Option<Bytes> {
    let len = sample.first_chunk().map(|len| u16::from_be_bytes(*len))?;
    let text = sample.get(2..2 + usize::from(len))?;
    // Text in UTF-16 begins with a byte order mark.
    let units = |from: fn([u8; 2]) -> u16| {
        let (pairs, _) = text.as_chunks::<2>();
        let units = pairs.iter().skip(1).map(|pair| from(*pair));
        Bytes::from(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect::<String>())
    };
    Some(match text {
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        _ => sample.slice_ref(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_into_samples_and_comes_back() {
        for text in ["", "Hello", "zwei\nZeilen \u{e9}"] {
            assert_eq!(of_sample(&to_sample(text.as_bytes()).unwrap()).unwrap(), text);
        }
        assert_eq!(to_sample(&vec![b'a'; 1 << 16]), None);
        assert_eq!(of_sample(&Bytes::from_static(&[0, 9, b'a'])), None);
        assert_eq!(of_sample(&Bytes::from_static(&[0, 6, 0xfe, 0xff, 0, b'H', 0, b'i'])).unwrap(), "Hi");
    }

    #[test]
    fn the_sample_entry_is_one_box() {
        let entry = sample_entry();
        assert_eq!(entry[..4], (entry.len() as u32).to_be_bytes());
    }
}
