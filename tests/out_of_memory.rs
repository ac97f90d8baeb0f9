//! An allocator that refuses: memory that an input has asked for and that is not there is an error of that input.
//!
//! What is refused is the n-th allocation of at least [`LEAST`] bytes. Smaller ones are what any program needs to go on at
//! all (strings, threads, the errors themselves), and Rust's collections end the process where one fails. An allocation
//! that a codec library or the standard library makes for itself cannot be helped either, so that the rule is: the process
//! may end only where the nearest function on the stack that is not Rust's own library is not this crate's. The allocator
//! writes down the stack of what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where something is wrong"
)]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use video_hw::Result;
use video_hw::backend::Backend;
use video_hw::backend::BackendKind;
use video_hw::codec::Codec;
use video_hw::config::DecodeOutputMode;
use video_hw::dimensions::Dimensions;
use video_hw::pipeline::{Export, ExportTarget, FilterOptions, FrameSource, SourceOptions, Transcode};
use video_hw::pixel::PixelFormat;

/// Smallest allocation that is refused: less than a plane of the clips' chroma.
const LEAST: usize = 12 << 10;
/// The buffers in front of files that are read and written. No input decides their size.
const FILE_BUFFER: usize = 256 << 10;

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

struct Refusing;

/// Allocations of [`LEAST`] bytes so far, and the one that is refused; 0: none.
static COUNT: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What writing down a stack allocates is not refused.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

impl Refusing {
    fn refuses(size: usize) -> bool {
        let refused = REFUSED.load(Ordering::Relaxed);
        if size < LEAST || size == FILE_BUFFER || refused == 0 || WRITING.get() {
            return false;
        }
        if COUNT.fetch_add(1, Ordering::Relaxed) + 1 != refused {
            return false;
        }
        WRITING.set(true);
        let stack = std::backtrace::Backtrace::force_capture();
        let words = format!("REFUSED {size} bytes\n{stack}\nEND OF STACK\n");
        let _ = std::io::stderr().write_all(words.as_bytes());
        WRITING.set(false);
        true
    }
}

// SAFETY: memory comes from the system's allocator and goes back to it; a null pointer, which stands for a failure, is allowed
// for any request.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's memory, which came from the system.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && Self::refuses(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's memory and layout, which came from the system.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

/// What is done to a clip.
#[derive(Clone, Copy, Debug)]
enum Work {
    Probe,
    /// To packed pictures of this format, at half the size or at their own.
    Decode(Option<PixelFormat>, bool),
    Transcode,
}

const CASES: [(&str, Work); 14] = [
    ("bars.mp4", Work::Probe),
    ("vfr-fragmented.mp4", Work::Probe),
    ("small.h264", Work::Probe),
    ("small-av1.ivf", Work::Probe),
    ("small.h264", Work::Decode(None, false)),
    ("interlaced.h264", Work::Decode(None, false)),
    ("small.h265", Work::Decode(None, false)),
    ("small-10bit.h265", Work::Decode(Some(PixelFormat::I420), true)),
    ("small-vp9.ivf", Work::Decode(Some(PixelFormat::Rgb24), false)),
    ("small-av1.ivf", Work::Decode(Some(PixelFormat::Nv12), false)),
    ("vfr-rotated.mp4", Work::Decode(Some(PixelFormat::RgbF32Planar), true)),
    ("vfr-fragmented.mp4", Work::Decode(Some(PixelFormat::I444), false)),
    ("bars.mp4", Work::Transcode),
    ("vfr-fragmented.mp4", Work::Transcode),
];

/// Does it; what comes of it is of no interest, as long as something does.
fn work((name, work): (&str, Work), directory: &Path) -> Result<()> {
    let input = clip(name);
    let software = Backend::Only(BackendKind::Software);
    let source = SourceOptions::default().backend(software);
    match work {
        Work::Probe => {
            let options = source.output(DecodeOutputMode::MetadataOnly);
            FrameSource::open(&input, &options)?.next_frame().map(|_| ())
        }
        Work::Decode(format, half) => {
            let mut job = Export::new(&input, ExportTarget::File(directory.join("out.yuv")));
            job.source = source;
            job.overwrite = true;
            job.max_frames = Some(6);
            job.filter =
                FilterOptions::default().format(format).size(half.then(|| Dimensions::new(160, 90).unwrap()));
            job.run().map(|_| ())
        }
        Work::Transcode => Transcode::new(&input, directory.join("out.mp4"))
            .decode_backend(software)
            .encode_backend(software)
            .codec(Codec::H264)
            .max_frames(6)
            .overwrite(true)
            .run()
            .map(|_| ()),
    }
}

const CASE_VARIABLE: &str = "VIDEO_HW_TEST_CASE";

/// What the other tests start: works on a case, again and again, with another allocation refused each time.
#[test]
#[ignore = "the other test starts it as a process of its own"]
fn child() {
    let Ok(orders) = std::env::var(CASE_VARIABLE) else { return };
    let numbers: Vec<u64> = orders.split(',').map(|number| number.parse().unwrap()).collect();
    let [case, first, step] = numbers[..] else { panic!("{orders}") };
    let directory = tempfile::tempdir().unwrap();
    let case = CASES[case as usize];
    // Tables and threads that are made once.
    work(case, directory.path()).unwrap();
    let mut number = first;
    loop {
        COUNT.store(0, Ordering::Relaxed);
        REFUSED.store(number, Ordering::Relaxed);
        let done = work(case, directory.path());
        REFUSED.store(0, Ordering::Relaxed);
        let reached = COUNT.load(Ordering::Relaxed) >= number;
        let outcome = done.map_or_else(|error| error.to_string(), |()| "done".to_owned());
        println!("AFTER {number} {reached} {}", outcome.replace('\n', " "));
        if !reached {
            return;
        }
        number += step;
    }
}

/// Whose code a frame of a stack is.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// Rust's own libraries, those that its collections come from, and this file: what asks in the name of others.
    Nobody,
    /// This library.
    Ours,
    /// A codec library, as a rule.
    Another,
}

/// Functions that were inlined have a short name and a place in a file; those that were compiled without line numbers have a
/// whole name and no place.
fn owner(name: &str, place: Option<&str>) -> Owner {
    if let Some(place) = place.map(|place| place.replace('\\', "/")) {
        let within = |folder: &str| place.trim_start_matches("./").starts_with(folder);
        let is_nobodys = ["/rustc/", "tests/"].into_iter().any(within)
            || ["/bytes-", "/hashbrown-"].iter().any(|name| place.contains(name));
        return if is_nobodys {
            Owner::Nobody
        } else if within("src/") {
            Owner::Ours
        } else {
            Owner::Another
        };
    }
    let name = name.trim_start_matches(['<', '&', '*']);
    let nobodys = [
        "std::",
        "core::",
        "alloc::",
        "bytes::",
        "hashbrown::",
        "out_of_memory::",
        "__rust",
        "rust_",
        "_rdl",
        "__rg",
        "__rdl",
    ];
    if name.starts_with("video_hw::") {
        Owner::Ours
    } else if nobodys.iter().any(|own| name.starts_with(own))
        // Traits of theirs for types of anybody.
        || name.contains(" as alloc::")
        || name.contains(" as core::")
    {
        Owner::Nobody
    } else {
        Owner::Another
    }
}

/// The nearest function of a stack that somebody else than [`Owner::Nobody`] wrote.
fn culprit(stack: &str) -> Option<(Owner, String)> {
    let mut frames = Vec::new();
    for line in stack.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some((_, known)) = frames.last_mut() {
                *known = Some(place);
            }
        } else if let Some((number, name)) = line.split_once(": ")
            && number.parse::<u32>().is_ok()
        {
            frames.push((name, None));
        }
    }
    frames.into_iter().map(|(name, place)| (owner(name, place), name, place)).find_map(
        |(owner, name, place)| {
            let place = place.map_or_else(String::new, |place| format!(" at {place}"));
            (owner != Owner::Nobody).then(|| (owner, format!("{name}{place}")))
        },
    )
}

#[test]
fn the_nearest_function_is_found_by_its_file_or_its_name() {
    let allocator = "   0: refuses\n             at ./tests/out_of_memory.rs:63:21\n   1: grow\n             at /rustc/5980/library/alloc/src/raw_vec/mod.rs:691:22\n";
    for (frames, found) in [
        ("   2: fill_window\n             at ./src/container/mp4/source.rs:102:58\n", Owner::Ours),
        ("   2: open\n             at .\\src\\container\\open.rs:89:21\n", Owner::Ours),
        ("   2: video_hw::container::open\n", Owner::Ours),
        ("   2: <video_hw::util::queue::Queue<T> as core::ops::drop::Drop>::drop\n", Owner::Ours),
        (
            "   2: <oxideav_h264::decoder::Decoder>::new\n   3: open\n             at ./src/container/open.rs:89:21\n",
            Owner::Another,
        ),
    ] {
        assert_eq!(culprit(&format!("{allocator}{frames}")).unwrap().0, found, "{frames}");
    }
    assert_eq!(culprit(allocator), None);
}

/// Works on a case until no allocation is left to refuse. Returns how many were refused, and the functions in which the
/// process ended, with how often.
fn refuse_all(case: usize, step: u64) -> (u64, BTreeMap<String, (Owner, u64)>) {
    let (mut first, mut ended, mut refused) = (1 + 5 * case as u64 % step, BTreeMap::new(), 0);
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture", "--test-threads", "1"])
            .env(CASE_VARIABLE, format!("{case},{first},{step}"))
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut words = Vec::new();
            said.read_to_end(&mut words).unwrap();
            String::from_utf8_lossy(&words).into_owned()
        });
        let (mut next, mut complete) = (first, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // The test harness writes in front of the first.
            let Some((_, line)) = line.split_once("AFTER ") else { continue };
            let mut words = line.splitn(3, ' ');
            next = words.next().unwrap().parse::<u64>().unwrap() + step;
            let reached = words.next() == Some("true");
            refused += u64::from(reached);
            complete |= !reached;
        }
        let status = child.wait().unwrap();
        let said = reader.join().unwrap();
        if complete && status.success() {
            if refused > 0 || first == 1 {
                return (refused, ended);
            }
            // There are not as many as were to be passed over.
            first = 1;
            continue;
        }
        let stack = said.rsplit("REFUSED ").next().unwrap_or_default();
        assert!(said.contains("memory allocation of"), "{:?}: {status}\n{said}", CASES[case]);
        let (owner, function) = culprit(stack).unwrap_or_else(|| panic!("nobody asked: {said}"));
        ended.entry(function).or_insert((owner, 0)).1 += 1;
        refused += 1;
        first = next + step;
    }
}

#[test]
fn memory_that_is_refused_ends_no_process_here() {
    let long = std::env::var_os("VIDEO_HW_LONG").is_some();
    let mut ours = Vec::new();
    for (case, name) in CASES.iter().enumerate() {
        let step = if long { 1 } else { 17 };
        let (refused, ended) = refuse_all(case, step);
        assert!(refused > 0, "{name:?}");
        let lost: u64 = ended.values().map(|(_, times)| times).sum();
        eprintln!("{name:?}: {refused} allocations refused, {lost} ended the process");
        for (function, (owner, times)) in ended {
            eprintln!("    {times} in {function}");
            if owner == Owner::Ours {
                ours.push(format!("{name:?}: {times} in {function}"));
            }
        }
    }
    assert!(ours.is_empty(), "{ours:#?}");
}
