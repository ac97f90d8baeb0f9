//! Y4M: pictures fit in the input, and come back unchanged from a file of our own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::rawvideo::{FrameReader, FrameWriter, Y4mReader, Y4mWriter};

fn packed(reader: &mut impl FrameReader) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok(Some(frame)) = reader.next_frame() {
        all.push(frame.as_host().unwrap().to_packed());
    }
    all
}

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Y4mReader::new(data, "fuzz") else { return };
    let format = reader.video_format();
    let mut out = Vec::new();
    let mut writer = Y4mWriter::new(&mut out, "fuzz", format).unwrap();
    let mut pictures = Vec::new();
    while let Ok(Some(frame)) = reader.next_frame() {
        pictures.push(frame.as_host().unwrap().to_packed());
        writer.write_frame(&frame).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    assert!(pictures.iter().map(Vec::len).sum::<usize>() < data.len());
    let mut again = Y4mReader::new(&out[..], "fuzz").unwrap();
    assert_eq!(again.video_format(), format);
    assert_eq!(packed(&mut again), pictures);
});
