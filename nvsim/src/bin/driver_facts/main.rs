//! Prints what a driver answers where the documents are silent, one `name = answer` line each, in an order that
//! never changes: run on a real card and on the simulated driver, the two texts can be compared line by line.
//! `facts/` has the answers of real cards; `tests/facts.rs` holds the simulation against them.
//!
//! ```console
//! $ cargo run -p nvsim --bin driver_facts -- clips
//! ```
//!
//! The argument is the folder of the project's small clips; a second one names one section, or `file:PATH` for the
//! traces of any other stream (`.h264`, `.h265`, `.ivf` with VP9). Nothing of the simulation is linked in: the driver
//! is opened by its names, as any client does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a probe stops at what it does not expect"
)]
#![allow(missing_docs, reason = "declarations are shared with the simulation, which documents them")]

#[path = "../../nvdec/abi/mod.rs"]
#[allow(dead_code, reason = "not every declaration is needed here")]
mod abi;
mod facts_support;

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;

use abi::*;
use facts_support::{Cuda, Cuvid, Trace, Tracer, access_units, say};

/// Clips whose parsing is written down.
const CLIPS: [(&str, u32); 5] = [
    ("small.h264", codec::H264),
    ("interlaced.h264", codec::H264),
    ("small.h265", codec::HEVC),
    ("small-10bit.h265", codec::HEVC),
    ("small-vp9.ivf", codec::VP9),
];

/// Each section runs in a process of its own: a driver may crash on what another one refuses, and that is a fact too.
const SECTIONS: [&str; 19] = [
    "start",
    "contexts",
    "memory",
    "foreign",
    "caps",
    "create",
    "limits",
    "decoder",
    "small.h264",
    "interlaced.h264",
    "small.h265",
    "small-10bit.h265",
    "small-vp9.ivf",
    "encoder",
    "times",
    "odd packets",
    "damage",
    "undecoded",
    "contextless",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let clips = PathBuf::from(arguments.next().unwrap_or_else(|| "clips".into()));
    let chosen: Vec<String> = arguments.collect();
    if let [section] = chosen.as_slice() {
        run(section, &clips);
        return;
    }
    for section in SECTIONS {
        println!("[{section}]");
        let program = std::env::current_exe().expect("own path");
        let status =
            std::process::Command::new(program).arg(&clips).arg(section).status().expect("own program");
        if !status.success() {
            println!("section {section} = {status}");
        }
    }
}

fn run(section: &str, clips: &std::path::Path) {
    let cuda = Cuda::open();
    if section == "start" {
        before_init(&cuda);
        device(&cuda);
        return;
    }
    assert_eq!(cuda.init(0), 0, "cuInit");
    match section {
        "contexts" => return contexts(&cuda),
        "memory" => return memory(&cuda),
        "foreign" => return foreign(&cuda),
        _ => {}
    }
    let context = cuda.context();
    if section == "encoder" {
        facts_support::nvenc_facts(context);
        return cuda.release();
    }
    let cuvid = Cuvid::open();
    match section {
        "caps" => caps(&cuvid),
        "create" => create(&cuvid),
        "limits" => limits(&cuvid),
        "decoder" => decoder(&cuda, &cuvid, clips),
        "times" => times(&cuvid, clips),
        "odd packets" => odd_packets(&cuvid, clips),
        "damage" => damage(&cuvid, clips),
        "undecoded" => undecoded(&cuvid),
        "contextless" => contextless(&cuda, &cuvid, clips),
        other if other.starts_with("file:") => any_file(&cuvid, &other["file:".len()..]),
        clip => {
            let (clip, codec) = CLIPS.into_iter().find(|(name, _)| *name == clip).expect("a section's name");
            parser(&cuvid, &clips.join(clip), clip, codec);
            if clip == "small.h264" {
                parser_errors(&cuvid, &clips.join(clip));
            }
        }
    }
    cuda.release();
}

fn before_init(cuda: &Cuda) {
    let mut count: c_int = -1;
    say("cuDeviceGetCount before cuInit", cuda.device_get_count(&mut count));
    let mut context = null_mut();
    say("cuCtxGetCurrent before cuInit", cuda.ctx_get_current(&mut context));
    say("cuInit(1)", cuda.init(1));
    say("cuInit(0)", cuda.init(0));
    say("cuInit(0) again", cuda.init(0));
}

fn device(cuda: &Cuda) {
    let mut device: c_int = -1;
    say("cuDeviceGet(-1)", cuda.device_get(&mut device, -1));
    say("cuDeviceGet(1000)", cuda.device_get(&mut device, 1000));
    let mut value = 0;
    say("cuDeviceGetAttribute(0)", cuda.device_get_attribute(&mut value, 0, 0));
    say("cuDeviceGetAttribute(100000)", cuda.device_get_attribute(&mut value, 100_000, 0));
    say("cuDeviceGetAttribute null", cuda.device_get_attribute(null_mut(), 1, 0));
    for (attribute, name) in [
        (1, "max threads per block"),
        (2, "max block x"),
        (5, "max grid x"),
        (8, "shared memory per block"),
        (10, "warp size"),
        (11, "max pitch"),
        (14, "texture alignment"),
        (18, "integrated"),
        (19, "can map host memory"),
        (20, "compute mode"),
        (31, "concurrent kernels"),
        (40, "async engines"),
        (41, "unified addressing"),
        (51, "texture pitch alignment"),
        (75, "compute major"),
        (76, "compute minor"),
        (78, "stream priorities"),
        (83, "managed memory"),
        (115, "memory pools"),
    ] {
        let code = cuda.device_get_attribute(&mut value, attribute, 0);
        say(&format!("attribute {attribute} ({name})"), format!("{code} {value}"));
    }
}

fn contexts(cuda: &Cuda) {
    let mut context: *mut c_void = std::ptr::dangling_mut();
    say(
        "cuCtxGetCurrent with none",
        format!("{} null {}", cuda.ctx_get_current(&mut context), context.is_null()),
    );
    say("cuCtxPopCurrent with none", cuda.ctx_pop(&mut context));
    say("cuCtxPopCurrent(null) with none", cuda.ctx_pop(null_mut()));
    say("cuCtxSynchronize with none", cuda.ctx_synchronize());
    let mut device = -1;
    say("cuCtxGetDevice with none", cuda.ctx_get_device(&mut device));
    say("cuCtxPushCurrent(null)", cuda.ctx_push(null_mut()));
    say("cuCtxSetCurrent(null)", cuda.ctx_set_current(null_mut()));
    let mut address = 0;
    say("cuMemAlloc with no context", cuda.mem_alloc(&mut address, 16));
    let (mut flags, mut active) = (7, 7);
    let code = cuda.primary_get_state(0, &mut flags, &mut active);
    say("primary state at first", format!("{code} flags {flags} active {active}"));
    say("cuDevicePrimaryCtxRelease at first", cuda.primary_release(0));
    let (mut first, mut second) = (null_mut(), null_mut());
    cuda.primary_retain(&mut first, 0);
    cuda.primary_retain(&mut second, 0);
    say("primary context is one", first == second);
    say("cuCtxGetCurrent after retain", {
        cuda.ctx_get_current(&mut context);
        context.is_null()
    });
    say("cuDevicePrimaryCtxRelease", cuda.primary_release(0));
    say("cuDevicePrimaryCtxRelease the last", cuda.primary_release(0));
    say("cuDevicePrimaryCtxRelease once too often", cuda.primary_release(0));
    cuda.primary_retain(&mut first, 0);
    say("cuCtxPushCurrent", cuda.ctx_push(first));
    say("cuCtxDestroy of the primary context", cuda.ctx_destroy(first));
    say("cuCtxPopCurrent", format!("{} same {}", cuda.ctx_pop(&mut context), context == first));
    cuda.primary_release(0);
}

fn memory(cuda: &Cuda) {
    cuda.context();
    let mut address = 0;
    say("cuMemAlloc(0)", cuda.mem_alloc(&mut address, 0));
    say("cuMemAlloc(null)", cuda.mem_alloc(null_mut(), 16));
    say("cuMemAlloc(1 PiB)", cuda.mem_alloc(&mut address, 1 << 50));
    say(
        "cuMemAlloc(1000)",
        format!("{} aligned 256: {}", cuda.mem_alloc(&mut address, 1000), address % 256 == 0),
    );
    let mut host = [0u8; 4096];
    say("cuMemcpyDtoH of all", cuda.dtoh(host.as_mut_ptr().cast(), address, 1000));
    say("cuMemcpyDtoH 64 MiB beyond", cuda.dtoh(host.as_mut_ptr().cast(), address + (64 << 20), 16));
    say("cuMemcpyDtoH of 0 bytes", cuda.dtoh(host.as_mut_ptr().cast(), address, 0));
    say("cuMemcpyDtoH from address 0", cuda.dtoh(host.as_mut_ptr().cast(), 0, 16));
    say("cuMemcpyDtoH from address 4096", cuda.dtoh(host.as_mut_ptr().cast(), 4096, 16));
    say("cuMemFree(0)", cuda.mem_free(0));
    say("cuMemFree inside an allocation", cuda.mem_free(address + 16));
    say("cuMemFree of a foreign address", cuda.mem_free(4096));
    say("cuMemFree", cuda.mem_free(address));
    say("cuMemFree again", cuda.mem_free(address));
    for (width, height, element) in [(1920, 1080, 16), (100, 10, 4), (64, 1, 16), (100, 10, 3), (0, 10, 16)] {
        let mut pitch = 0;
        let code = cuda.mem_alloc_pitch(&mut address, &mut pitch, width, height, element);
        say(&format!("cuMemAllocPitch({width}, {height}, {element})"), format!("{code} pitch {pitch}"));
        if code == 0 {
            cuda.mem_free(address);
        }
    }
    let mut pinned = null_mut();
    say("cuMemAllocHost(0)", cuda.mem_alloc_host(&mut pinned, 0));
    say("cuMemAllocHost", cuda.mem_alloc_host(&mut pinned, 4096));
    say("cuMemFreeHost", cuda.mem_free_host(pinned));
    say("cuMemFreeHost again", cuda.mem_free_host(pinned));
    cuda.leave();
}

/// Null and foreign handles.
fn foreign(cuda: &Cuda) {
    cuda.context();
    let mut host = [0u8; 16];
    say("cuMemFreeHost of a foreign pointer", cuda.mem_free_host(host.as_mut_ptr().cast()));
    say("cuStreamDestroy(null)", cuda.stream_destroy(null_mut()));
    say("cuStreamSynchronize(null)", cuda.stream_synchronize(null_mut()));
    say("cuStreamQuery(null)", cuda.stream_query(null_mut()));
    say("cuEventDestroy(null)", cuda.event_destroy(null_mut()));
    let mut module = null_mut();
    say(
        "cuModuleLoadData of text that is no PTX",
        cuda.module_load_data(&mut module, c"hello".as_ptr().cast()),
    );
    let mut function: *mut c_void = null_mut();
    say("cuModuleGetFunction of null", cuda.module_get_function(&mut function, null_mut(), c"f".as_ptr()));
    let mut name: *const c_char = std::ptr::null();
    say(
        "cuGetErrorName(12345)",
        format!("{} null {}", cuda.get_error_name(12345, &mut name), name.is_null()),
    );
    cuda.leave();
}

fn caps(cuvid: &Cuvid) {
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

fn create_info() -> CUVIDDECODECREATEINFO {
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

fn create(cuvid: &Cuvid) {
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

fn limits(cuvid: &Cuvid) {
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

fn decoder(cuda: &Cuda, cuvid: &Cuvid, clips: &std::path::Path) {
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

fn print_trace(name: &str, trace: &Trace) {
    for (number, line) in trace.lines.iter().enumerate() {
        say(&format!("{name} #{number:03}"), line);
    }
}

fn parser(cuvid: &Cuvid, path: &std::path::Path, name: &str, codec: u32) {
    let data = std::fs::read(path).expect("the clips folder is the argument");
    let units = access_units(&data, codec);
    for delay in [0, 1, 4] {
        let mut tracer = Tracer::new(cuvid, codec, delay, 1);
        for unit in units.iter().take(20) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("{name} by unit, delay {delay}"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec, 2, 1);
    for unit in units.iter().take(20) {
        tracer.feed(unit, 0);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM | packet_flags::NOTIFY_EOS);
    print_trace(&format!("{name} without end of picture"), &tracer.close());
    // From the middle: where decoding starts, and what a jump does.
    let mut tracer = Tracer::new(cuvid, codec, 0, 1);
    for unit in units.iter().skip(3).take(30) {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(units[0], packet_flags::DISCONTINUITY | packet_flags::ENDOFPICTURE);
    tracer.feed(units[1], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    tracer.feed(units[0], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace(&format!("{name} from the middle, then a jump"), &tracer.close());
    if codec != codec::VP9 {
        let mut tracer = Tracer::new(cuvid, codec, 4, 1);
        for chunk in data.chunks(1000) {
            tracer.feed(chunk, 0);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("{name} in chunks of 1000"), &tracer.close());
    }
}

fn parser_errors(cuvid: &Cuvid, path: &std::path::Path) {
    let data = std::fs::read(path).expect("the clips folder is the argument");
    let units = access_units(&data, codec::H264);
    for failing in ["sequence", "decode", "display"] {
        let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1).failing(failing);
        for unit in units.iter().take(3) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        print_trace(&format!("{failing} callback fails"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    tracer.feed(b"this is no video", 0);
    tracer.feed(&[0; 300], 0);
    tracer.feed(&[], 0);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("rubbish", &tracer.close());
    let mut parser = null_mut();
    say("create parser null", cuvid.create_parser(null_mut(), &mut CUVIDPARSERPARAMS::zeroed()));
    say(
        "create parser without callbacks",
        cuvid.create_parser(&mut parser, &mut CUVIDPARSERPARAMS::zeroed()),
    );
    let mut parameters =
        CUVIDPARSERPARAMS { CodecType: 64, ulMaxNumDecodeSurfaces: 1, ..CUVIDPARSERPARAMS::zeroed() };
    say("create parser of codec 64", cuvid.create_parser(&mut parser, &mut parameters));
    say("destroy parser null", cuvid.destroy_parser(null_mut()));
}

/// Which time a picture is shown with.
fn times(cuvid: &Cuvid, clips: &std::path::Path) {
    for (clip, codec) in [("small.h264", codec::H264), ("small.h265", codec::HEVC)] {
        let data = std::fs::read(clips.join(clip)).expect("the clips folder is the argument");
        let units = access_units(&data, codec);
        let units = &units[..16];
        let trace = |time: &dyn Fn(usize) -> Option<i64>, flags| {
            let mut tracer = Tracer::new(cuvid, codec, 0, 1);
            for (number, unit) in units.iter().enumerate() {
                tracer.feed_at(unit, flags, time(number));
            }
            tracer.feed(&[], packet_flags::ENDOFSTREAM);
            tracer.close()
        };
        let picture = packet_flags::ENDOFPICTURE;
        let ranks = trace(&|number| Some(number as i64 * 40), picture).ranks();
        let print = |name: &str, trace: Trace| {
            let shown: Vec<_> = trace
                .lines
                .iter()
                .filter(|line| line.starts_with("display"))
                .filter_map(|line| line.split(' ').nth(3))
                .collect();
            say(&format!("{clip} times: {name}"), shown.join(" "));
        };
        print("true", trace(&|number| Some(ranks[number] * 40), picture));
        print("true, without end of picture", trace(&|number| Some(ranks[number] * 40), 0));
        print("falling", trace(&|number| Some(10_000 - number as i64 * 40), picture));
        print("all the same", trace(&|_| Some(7), picture));
        print("none", trace(&|_| None, picture));
        print("every third", trace(&|number| (number % 3 == 0).then_some(ranks[number] * 40), picture));
        print("true, uneven", trace(&|number| Some(ranks[number] * ranks[number] * 7 + 100), picture));
        print("negative", trace(&|number| Some(ranks[number] * 40 - 200), picture));
    }
}

/// Packets that hold more or less than one picture, and a change of size.
fn odd_packets(cuvid: &Cuvid, clips: &std::path::Path) {
    let read = |name: &str| std::fs::read(clips.join(name)).expect("the clips folder is the argument");
    let (data, other) = (read("small.h264"), read("interlaced.h264"));
    let (units, others) = (access_units(&data, codec::H264), access_units(&other, codec::H264));
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    tracer.feed(&units[..3].concat(), packet_flags::ENDOFPICTURE);
    tracer.feed(&units[3][..units[3].len() / 2], packet_flags::ENDOFPICTURE);
    tracer.feed(units[4], packet_flags::ENDOFPICTURE);
    tracer.feed(&units[5][..units[5].len() / 2], 0);
    tracer.feed(&units[5][units[5].len() / 2..], packet_flags::ENDOFPICTURE);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("odd packets", &tracer.close());
    for delay in [0, 4] {
        let mut tracer = Tracer::new(cuvid, codec::H264, delay, 1);
        for unit in units[..8].iter().chain(&others[..6]) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(&format!("size change, delay {delay}"), &tracer.close());
    }
    let mut tracer = Tracer::new(cuvid, codec::H264, 0, 1);
    for unit in &units[..4] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::DISCONTINUITY);
    for unit in &units[..4] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM | packet_flags::DISCONTINUITY);
    for unit in &units[4..8] {
        tracer.feed(unit, packet_flags::ENDOFPICTURE);
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("empty discontinuity", &tracer.close());
    let data = read("small.h265");
    let units = access_units(&data, codec::HEVC);
    let mut tracer = Tracer::new(cuvid, codec::HEVC, 0, 1);
    // A gap: two pictures that others refer to are missing.
    for (number, unit) in units.iter().take(16).enumerate() {
        if !(2..4).contains(&number) {
            tracer.feed(unit, packet_flags::ENDOFPICTURE);
        }
    }
    tracer.feed(&[], packet_flags::ENDOFSTREAM);
    print_trace("HEVC gap", &tracer.close());
}

/// Damaged data, and wrong indices for the decoder.
fn damage(cuvid: &Cuvid, clips: &std::path::Path) {
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
fn undecoded(cuvid: &Cuvid) {
    let mut decoder = null_mut();
    cuvid.create(&mut decoder, &mut create_info());
    let (mut mapped, mut pitch) = (0, 0);
    let mut process = CUVIDPROCPARAMS { progressive_frame: 1, ..CUVIDPROCPARAMS::zeroed() };
    say("map of an index never decoded", cuvid.map(decoder, 3, &mut mapped, &mut pitch, &mut process));
    cuvid.destroy(decoder);
}

/// The decoder's functions with no context current.
fn contextless(cuda: &Cuda, cuvid: &Cuvid, clips: &std::path::Path) {
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

/// Traces of a stream that is not one of the project's.
fn any_file(cuvid: &Cuvid, path: &str) {
    let data = std::fs::read(path).expect("a readable file");
    let codec = match path.rsplit('.').next() {
        Some("h264" | "264") => codec::H264,
        Some("h265" | "265") => codec::HEVC,
        _ => codec::VP9,
    };
    let units = access_units(&data, codec);
    for (name, flags) in [("with end of picture", packet_flags::ENDOFPICTURE), ("without", 0)] {
        let mut tracer = Tracer::new(cuvid, codec, 0, 1);
        for unit in &units {
            tracer.feed(unit, flags);
        }
        tracer.feed(&[], packet_flags::ENDOFSTREAM);
        print_trace(name, &tracer.close());
    }
}
