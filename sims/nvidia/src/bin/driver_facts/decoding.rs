//! Facts of the decoder.

use std::path::Path;
use std::ptr::null_mut;

use crate::abi::*;
use crate::facts_support::{Cuda, Cuvid, Tracer, access_units, say};
use crate::parsing::print_trace;

pub fn caps(cuvid: &Cuvid) {
    for codec in 0..=11u32 {
        for chroma in 0..=3u32 {
            for depth in [8u32, 10, 12] {
                let mut caps = CUVIDDECODECAPS {
                    eCodecType: codec,
                    eChromaFormat: chroma,
                    nBitDepthMinus8: depth - 8,
                    ..CUVIDDECODECAPS::zeroed()
                };
                let code = cuvid.caps(&mut caps);
                if code != 0 || caps.bIsSupported != 0 {
                    say(
                        &format!("caps codec {codec} chroma {chroma} depth {depth}"),
                        format!(
                            "{code} supported {} engines {} formats {:#x} max {}x{} macroblocks {} min {}x{} histogram {} {} {}",
                            caps.bIsSupported,
                            caps.nNumNVDECs,
                            caps.nOutputFormatMask,
                            caps.nMaxWidth,
                            caps.nMaxHeight,
                            caps.nMaxMBCount,
                            caps.nMinWidth,
                            caps.nMinHeight,
                            caps.bIsHistogramSupported,
                            caps.nCounterBitDepth,
                            caps.nMaxHistogramBins
                        ),
                    );
                }
            }
        }
    }
    let mut caps = CUVIDDECODECAPS { eCodecType: 64, eChromaFormat: 1, ..CUVIDDECODECAPS::zeroed() };
    say("caps of codec 64", format!("{} {}", cuvid.caps(&mut caps), caps.bIsSupported));
    let mut caps = CUVIDDECODECAPS { eCodecType: 4, eChromaFormat: 9, ..CUVIDDECODECAPS::zeroed() };
    say("caps of chroma 9", format!("{} {}", cuvid.caps(&mut caps), caps.bIsSupported));
}

pub fn create_info() -> CUVIDDECODECREATEINFO {
    CUVIDDECODECREATEINFO {
        ulWidth: 192,
        ulHeight: 160,
        ulNumDecodeSurfaces: 8,
        CodecType: codec::H264,
        ChromaFormat: chroma_format::YUV420,
        ulCreationFlags: create_flags::PREFER_CUVID,
        display_area: ShortRect { left: 0, top: 0, right: 178, bottom: 146 },
        OutputFormat: surface_format::NV12,
        DeinterlaceMode: deinterlace::WEAVE,
        ulTargetWidth: 178,
        ulTargetHeight: 146,
        ulNumOutputSurfaces: 2,
        ..CUVIDDECODECREATEINFO::zeroed()
    }
}

pub fn create(cuvid: &Cuvid) {
    let try_create = |name: &str, change: &dyn Fn(&mut CUVIDDECODECREATEINFO)| {
        let mut info = create_info();
        change(&mut info);
        let mut decoder = null_mut();
        let code = cuvid.create(&mut decoder, &mut info);
        say(&format!("create: {name}"), code);
        if code == 0 {
            cuvid.destroy(decoder);
        }
    };
    try_create("usual", &|_| {});
    try_create("no decode surface", &|info| info.ulNumDecodeSurfaces = 0);
    try_create("32 decode surfaces", &|info| info.ulNumDecodeSurfaces = 32);
    try_create("33 decode surfaces", &|info| info.ulNumDecodeSurfaces = 33);
    try_create("no output surface", &|info| info.ulNumOutputSurfaces = 0);
    try_create("64 output surfaces", &|info| info.ulNumOutputSurfaces = 64);
    try_create("65 output surfaces", &|info| info.ulNumOutputSurfaces = 65);
    try_create("target 0x0", &|info| (info.ulTargetWidth, info.ulTargetHeight) = (0, 0));
    try_create("odd target", &|info| (info.ulTargetWidth, info.ulTargetHeight) = (177, 145));
    try_create("target twice as large", &|info| (info.ulTargetWidth, info.ulTargetHeight) = (384, 320));
    try_create("target 8192x8192", &|info| (info.ulTargetWidth, info.ulTargetHeight) = (8192, 8192));
    try_create("too wide", &|info| info.ulWidth = 4112);
    try_create("too small", &|info| (info.ulWidth, info.ulHeight) = (32, 16));
    try_create("10-bit H.264", &|info| info.bitDepthMinus8 = 2);
    try_create("P016 of 8 bit", &|info| info.OutputFormat = surface_format::P016);
    try_create("YUV444 of 4:2:0", &|info| info.OutputFormat = surface_format::YUV444);
    try_create("format 77", &|info| info.OutputFormat = 77);
    try_create("codec 64", &|info| info.CodecType = 64);
    try_create("AV1", &|info| info.CodecType = codec::AV1);
    try_create("deinterlace 9", &|info| info.DeinterlaceMode = 9);
    try_create("maximum below size", &|info| (info.ulMaxWidth, info.ulMaxHeight) = (64, 64));
    try_create("display area outside", &|info| info.display_area.right = 1000);
    try_create("empty display area", &|info| info.display_area = ShortRect::default());
}

pub fn limits(cuvid: &Cuvid) {
    let mut decoder = null_mut();
    let mut info = CUVIDDECODECREATEINFO { ulMaxWidth: 384, ulMaxHeight: 320, ..create_info() };
    cuvid.create(&mut decoder, &mut info);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    let mut pitch = 0;
    let mut mapped = 0;
    say("map index -1", cuvid.map(decoder, -1, &mut mapped, &mut pitch, &mut process));
    say("map index 8 of 8", cuvid.map(decoder, 8, &mut mapped, &mut pitch, &mut process));
    say("unmap of nothing", cuvid.unmap(decoder, 0));
    say("unmap of a foreign address", cuvid.unmap(decoder, 4096));
    let mut status = CUVIDGETDECODESTATUS::zeroed();
    say(
        "status of index 0, never decoded",
        format!("{} {}", cuvid.status(decoder, 0, &mut status), status.decodeStatus),
    );
    say("status of index 99", cuvid.status(decoder, 99, &mut status));
    let reconfigure = |name: &str, width, height, surfaces| {
        let mut info = CUVIDRECONFIGUREDECODERINFO {
            ulWidth: width,
            ulHeight: height,
            ulTargetWidth: width,
            ulTargetHeight: height,
            ulNumDecodeSurfaces: surfaces,
            ..CUVIDRECONFIGUREDECODERINFO::zeroed()
        };
        say(&format!("reconfigure: {name}"), cuvid.reconfigure(decoder, &mut info));
    };
    reconfigure("same", 192, 160, 8);
    reconfigure("to the maximum", 384, 320, 8);
    reconfigure("beyond the maximum", 400, 336, 8);
    reconfigure("more surfaces", 192, 160, 12);
    reconfigure("33 surfaces", 192, 160, 33);
    reconfigure("no surface", 192, 160, 0);
    say("destroy", cuvid.destroy(decoder));
}

pub fn decoder(cuda: &Cuda, cuvid: &Cuvid, clips: &Path) {
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    let mut status = CUVIDGETDECODESTATUS::zeroed();
    let (mut pitch, mut mapped) = (0, 0);
    // A decoder fed by the parser: mapping limits on real pictures, and what the mapped picture looks like.
    let data = std::fs::read(clips.join("small.h264")).expect("the clips folder is the argument");
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 4).decoding(create_info());
    for unit in access_units(&data, codec::H264) {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
        if tracer.displayed().len() >= 4 {
            break;
        }
    }
    let decoder = tracer.decoder();
    let shown = tracer.displayed();
    let mut addresses = Vec::new();
    for (turn, index) in shown.iter().take(3).enumerate() {
        let code = cuvid.map(decoder, *index, &mut mapped, &mut pitch, &mut process);
        say(
            &format!("map {} with 2 output surfaces", turn + 1),
            format!("{code} pitch {}", if code == 0 { pitch } else { 0 }),
        );
        if code == 0 {
            addresses.push(mapped);
        }
        if turn == 0 {
            let (mut again, mut other) = (0, 0);
            say("map of a mapped picture", cuvid.map(decoder, *index, &mut again, &mut other, &mut process));
        }
    }
    say("mapped pictures lie apart", addresses.len() < 2 || addresses[0] != addresses[1]);
    if let Some(address) = addresses.first() {
        let mut rows = vec![0u8; pitch as usize * 256];
        say("cuMemcpyDtoH of the luma", cuda.dtoh(rows.as_mut_ptr().cast(), *address, pitch as usize * 146));
        // The pixel in the corner says that it is a picture and no empty surface.
        say("first luma samples", format!("{:?}", &rows[..4]));
        say("chroma starts at pitch * height", {
            cuda.dtoh(rows.as_mut_ptr().cast(), *address + u64::from(pitch) * 146, 4);
            format!("{:?}", &rows[..4])
        });
    }
    say(
        "status of a shown picture",
        format!("{} {}", cuvid.status(decoder, shown[0], &mut status), status.decodeStatus),
    );
    for address in addresses {
        say("unmap", cuvid.unmap(decoder, address));
        say("unmap again", cuvid.unmap(decoder, address));
    }
    say(
        "the same picture can be mapped again",
        cuvid.map(decoder, shown[0], &mut mapped, &mut pitch, &mut process),
    );
    say("destroy with a mapped picture", cuvid.destroy(decoder));
    tracer.close();
}

/// Damaged data, and wrong indices for the decoder.
pub fn damage(cuvid: &Cuvid, clips: &Path) {
    let mut data = std::fs::read(clips.join("small.h264")).expect("the clips folder is the argument");
    let start = {
        let units = access_units(&data, codec::H264);
        units[..4].iter().map(|unit| unit.len()).sum::<usize>()
    };
    for byte in &mut data[start + 60..start + 400] {
        *byte ^= 0x5a;
    }
    let units = access_units(&data, codec::H264);
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1).decoding(create_info());
    for unit in units.iter().take(6) {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.forge_index(Some(99));
    tracer.feed(units[6], packet_flags::ENDOFPICTURE);
    tracer.forge_index(Some(-1));
    tracer.feed(units[7], packet_flags::ENDOFPICTURE);
    tracer.forge_index(None);
    tracer.feed(units[8], packet_flags::ENDOFPICTURE);
    let decoder = tracer.decoder();
    let mut status = CUVIDGETDECODESTATUS::zeroed();
    for index in 0..5 {
        // Mapping waits for the picture, so that the status is the last one.
        let (mut mapped, mut pitch) = (0, 0);
        let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
        let code = cuvid.map(decoder, index, &mut mapped, &mut pitch, &mut process);
        if code == 0 {
            cuvid.unmap(decoder, mapped);
        }
        let answer = cuvid.status(decoder, index, &mut status);
        say(
            &format!("after damage, index {index}"),
            format!("map {code} status {answer} {}", status.decodeStatus),
        );
    }
    cuvid.destroy(decoder);
    print_trace("damage", &tracer.close());
}

/// Mapping a surface that no picture was decoded into.
pub fn undecoded(cuvid: &Cuvid) {
    let mut decoder = null_mut();
    cuvid.create(&mut decoder, &mut create_info());
    let (mut mapped, mut pitch) = (0, 0);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    say("map of an index never decoded", cuvid.map(decoder, 3, &mut mapped, &mut pitch, &mut process));
    cuvid.destroy(decoder);
}

/// The decoder's functions with no context current.
pub fn contextless(cuda: &Cuda, cuvid: &Cuvid, clips: &Path) {
    let data = std::fs::read(clips.join("small.h264")).expect("the clips folder is the argument");
    let units = access_units(&data, codec::H264);
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 4).decoding(create_info());
    for unit in &units[..6] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    let (decoder, shown) = (tracer.decoder(), tracer.displayed());
    let (mut mapped, mut pitch) = (0, 0);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    cuvid.map(decoder, shown[2], &mut mapped, &mut pitch, &mut process);
    let mut context = null_mut();
    cuda.ctx_pop(&mut context);
    say("unmap", cuvid.unmap(decoder, mapped));
    let mut status = CUVIDGETDECODESTATUS::zeroed();
    say("status", format!("{} {}", cuvid.status(decoder, shown[2], &mut status), status.decodeStatus));
    let mut caps = CUVIDDECODECAPS { eCodecType: 4, eChromaFormat: 1, ..CUVIDDECODECAPS::zeroed() };
    say("caps", cuvid.caps(&mut caps));
    let mut other = null_mut();
    say("create", cuvid.create(&mut other, &mut create_info()));
    say("map", cuvid.map(decoder, shown[2], &mut mapped, &mut pitch, &mut process));
    tracer.feed(units[6], packet_flags::ENDOFPICTURE);
    let trace = tracer.close();
    print_trace("decode", &trace);
    say("destroy", cuvid.destroy(decoder));
    cuda.ctx_push(context);
}
