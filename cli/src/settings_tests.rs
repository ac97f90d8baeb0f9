//! Every public setting of the library's jobs has an option in the commands that run these jobs, or a listed reason for having none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::given::Given;

const QUIET: &str = "the program tells of it as it happens";
const PROCESS: &str = "always: the process ends with its job";
const ENDS: &str = "Ctrl-C, SIGTERM and SIGHUP";
const RAW: &str = "headerless input is read by `encode`";
const TIMES: &str = "pictures without times of their own are read by `encode`";
const ALONE: &str = "uncompressed pictures come without other tracks";
const UNCOMPRESSED: &str = "uncompressed pictures need no decoder";
const SHEET: &str = "a sheet is RGB in host memory";

/// Settings of a job, each with its option or the reason for having none.
type Table = &'static [(&'static str, &'static str)];

const TRANSCODE: Table = &[
    ("audio", "--audio"),
    ("b_frames", "--bframes"),
    ("backend", "--backend"),
    ("backend_config", "--preset"),
    ("bitrate", "--bitrate"),
    ("cancel_token", ENDS),
    ("codec", "--codec"),
    ("content_light", "--hdr-light"),
    ("copy_tracks", "--no-copy"),
    ("crop", "--crop"),
    ("decode_backend", "--decoder-backend"),
    ("deinterlace", "--deinterlace"),
    ("device", "--device"),
    ("duration", "--duration"),
    ("encode_backend", "--encoder-backend"),
    ("ends_process", PROCESS),
    ("engines", "--engines"),
    ("faststart", "--faststart"),
    ("fragmented", "--fragmented"),
    ("frame_rate", "--fps"),
    ("gop_length", "--gop"),
    ("input_frame_rate", "--input-fps"),
    ("keep_going", "--keep-going"),
    ("limits", "--limits"),
    ("low_latency", "--low-latency"),
    ("mastering_display", "--hdr-mastering"),
    ("max_frames", "--frames"),
    ("on_failure", "--on-failure"),
    ("on_progress", QUIET),
    ("on_takeover", QUIET),
    ("output_format", "--format"),
    ("overwrite", "--overwrite"),
    ("pixel_format", "--pix-fmt"),
    ("profile", "--profile"),
    ("rate_control", "--rc"),
    ("raw_input", RAW),
    ("session_admission", "--session-wait"),
    ("size", "--size"),
    ("spool", "--spool"),
    ("start", "--start"),
    ("stream_name", "--metrics-stream"),
    ("subtitles", "--subtitles"),
    ("threads", "--threads"),
    ("times", TIMES),
    ("track", "--track"),
    ("vbv", "--vbv"),
];

/// Entries of `encode` that differ from `transcode`.
const ENCODE: Table = &[
    ("audio", ALONE),
    ("copy_tracks", ALONE),
    ("decode_backend", UNCOMPRESSED),
    ("deinterlace", "interlaced Y4M is refused, and headerless input does not say that it is interlaced"),
    ("encode_backend", "--backend"),
    ("engines", UNCOMPRESSED),
    ("frame_rate", "--fps is the input's; `transcode` takes uncompressed input too, and changes its rate"),
    ("input_frame_rate", "--fps"),
    ("pixel_format", "--pix-fmt is the input's; the encoder's follows from it, and from --profile"),
    ("raw_input", "--pix-fmt"),
    ("size", "--scale"),
    ("spool", "uncompressed pictures are read in the order in which they come"),
    ("subtitles", ALONE),
    ("times", "--timestamps"),
    ("track", ALONE),
];

const REMUX: Table = &[
    ("audio", "--audio"),
    ("cancel_token", ENDS),
    ("decode_backend", "--decoder-backend"),
    ("duration", "--duration"),
    ("encode_backend", "--encoder-backend"),
    ("exact", "--exact"),
    ("faststart", "--faststart"),
    ("fragmented", "--fragmented"),
    ("input_frame_rate", "--input-fps"),
    ("keep_going", "--keep-going"),
    ("limits", "--limits"),
    ("on_progress", QUIET),
    ("output_format", "--format"),
    ("overwrite", "--overwrite"),
    ("spool", "--spool"),
    ("start", "--start"),
    ("subtitles", "--subtitles"),
    ("track", "--track"),
];

const FRAMES: Table = &[
    ("backend", "--backend"),
    ("convert", "--pix-fmt"),
    ("crop", "--crop"),
    ("device", "--device"),
    ("duration", "--duration"),
    ("engines", "--engines"),
    ("frame_rate", "--input-fps"),
    ("height", "--height"),
    ("keep_going", "--keep-going"),
    ("limits", "--limits"),
    ("low_latency", "--low-latency"),
    ("native", "--output"),
    ("on_failure", "--on-failure"),
    ("original_times", "--original-times"),
    ("output", "--output"),
    ("rgb", "--output"),
    ("size", "--size"),
    ("start", "--start"),
    ("strict", "--strict"),
    ("times", TIMES),
    ("upright", "--upright"),
    ("width", "--width"),
];

/// Entries that only [`video_hw::pipeline::SourceOptions`] has.
const SOURCE: Table = &[
    ("cancel", ENDS),
    ("damage", "--strict"),
    ("ends_process", PROCESS),
    ("raw", RAW),
    (
        "reorder_window",
        "memory of several decoders, which --engines bounds; the default follows from what is free",
    ),
    ("reordered", "for files that are made of the frames, with B frames"),
    ("spool", "--spool"),
    ("stream", "--metrics-stream"),
    ("threads", "--threads"),
    ("track", "--track"),
];

const READER: Table = &[
    ("backend", "--backend"),
    ("convert", "--pix-fmt"),
    ("crop", "--crop"),
    ("device", "--device"),
    ("engines", "--engines"),
    ("frame_rate", "--input-fps"),
    ("height", "--height"),
    ("keep_going", "--keep-going"),
    ("limits", "--limits"),
    ("memory", "frames are written in the order asked for; the default holds what waits for it"),
    ("native", "--output"),
    ("options", "all of the others, in one"),
    ("output", "--output"),
    ("rgb", "--output"),
    ("size", "--size"),
    ("strict", "--strict"),
    ("threads", "--threads"),
    ("upright", "--upright"),
    ("width", "--width"),
    ("with_index", "--index"),
];

/// Entries of `thumbnails` that differ from `decode`.
const SHEETS: Table = &[
    ("convert", SHEET),
    ("height", "--width, and the shape of the picture"),
    ("native", SHEET),
    ("output", SHEET),
    ("rgb", "always"),
    ("size", "--width, and the shape of the picture"),
    ("strict", "damage that the decoder concealed does not hide what a picture shows"),
    ("upright", "always"),
];

/// Command lines for each builder, with the tables that apply in order of precedence.
const JOBS: [(&str, &str, &[Table]); 8] = [
    ("Transcode", "transcode a b", &[TRANSCODE]),
    ("Transcode", "trim a b", &[TRANSCODE]),
    ("Transcode", "encode a b", &[ENCODE, TRANSCODE]),
    ("Remux", "transcode a b --copy --exact", &[REMUX]),
    ("Remux", "trim a b --copy --exact", &[REMUX]),
    ("FramesBuilder", "decode a b", &[FRAMES]),
    ("ReaderBuilder", "decode a b --frames-at 1", &[READER]),
    ("ReaderBuilder", "thumbnails a b", &[SHEETS, READER]),
];

/// Lists every line of the library's files with the type of the enclosing `impl` block.
fn each_line(folder: &Path, each: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_line(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut of = String::new();
            for line in fs::read_to_string(&path).unwrap().lines() {
                if let Some(rest) = line.strip_prefix("impl") {
                    let rest = rest
                        .split_once("> ")
                        .filter(|_| rest.starts_with('<'))
                        .map_or(rest, |(_, rest)| rest);
                    of = rest
                        .trim_start()
                        .split(|c: char| !c.is_alphanumeric())
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                }
                each(&of, line);
            }
        }
    }
}

/// Lists the methods of each builder that take and return the builder.
fn settings() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut options = String::new();
    for room in ["pipeline", "reader"] {
        let mut within = false;
        each_line(&source.join(room), &mut |of, line| {
            within |= line.starts_with("setters!(SourceOptions");
            if within {
                options.push_str(line);
                within = line != "});" && !line.ends_with("});");
            }
            let Some(method) = line.strip_prefix("    pub fn ").filter(|line| line.contains("-> Self"))
            else {
                return;
            };
            let Some((name, arguments)) = method.split_once('(') else { return };
            if arguments.starts_with("self") || arguments.starts_with("mut self") {
                found.entry(of.to_owned()).or_default().push(name.to_owned());
            }
        });
    }
    let fields = options
        .split(['{', ','])
        .filter_map(|part| part.split_once(": "))
        .map(|(name, _)| name.trim().to_owned());
    found.insert("SourceOptions".to_owned(), fields.collect());
    for names in found.values_mut() {
        names.sort();
    }
    found
}

fn check(builder: &str, line: &str, tables: &[Table], names: &[String]) {
    let given = Given::of_line(line);
    for name in names {
        let row = tables.iter().find_map(|table| table.iter().find(|row| row.0 == name));
        let Some((_, how)) = row else {
            panic!("{builder}::{name} is neither an option of `{line}` nor is there a reason why it is none")
        };
        if let Some(option) = how.strip_prefix("--").filter(|option| !option.contains(' ')) {
            assert!(
                given.takes(option),
                "`{line}` does not take --{option}, which is to say {builder}::{name}"
            );
        }
    }
    for (name, _) in tables.iter().copied().flatten() {
        assert!(names.iter().any(|known| known == name), "{builder} has no setting {name}");
    }
}

#[test]
fn every_setting_is_an_option_or_none_for_a_reason() {
    let found = settings();
    for (builder, line, tables) in JOBS {
        let names = &found[builder];
        assert!(names.len() > 10, "{builder}: {names:?}");
        check(builder, line, tables, names);
    }
    let all = &found["SourceOptions"];
    assert!(all.len() > 25, "{all:?}");
    let more: Vec<_> = all.iter().filter(|name| !found["FramesBuilder"].contains(name)).cloned().collect();
    check("SourceOptions", "decode a b", &[SOURCE], &more);
}
