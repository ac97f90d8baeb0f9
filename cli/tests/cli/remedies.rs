//! A remedy never names an option that the command line already has or that the command lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use crate::common::{Run, Scratch, clip, command, run, y4m};

/// Options added to each failing command line. Options that the command lacks are skipped.
const BESIDE: [&[&str]; 14] = [
    &[],
    &["--backend", "auto"],
    &["--backend", "software"],
    &["--backend", "auto", "--decoder-backend", "software"],
    &["--encoder-backend", "software"],
    &["--keep-going"],
    &["--overwrite"],
    &["--strict"],
    &["--on-failure", "stop"],
    &["--engines", "1"],
    &["--low-latency"],
    &["--spool"],
    &["--limits", "edits=100000"],
    &["--size", "640x360"],
];

/// A command line that fails, or ends with a note, and what it reads from standard input.
struct Case {
    line: Vec<String>,
    stdin: Option<String>,
}

/// Inputs with various faults.
struct Inputs(Scratch);

impl Inputs {
    fn new() -> Self {
        let scratch = Scratch::new();
        let film = fs::read(clip("bars.mp4")).unwrap();
        scratch.file("cut.mp4", &film[..film.len() / 2]);
        let mut broken = fs::read(clip("small.h264")).unwrap();
        let half = broken.len() / 2;
        broken[200..half].fill(0x55);
        scratch.file("broken.h264", &broken);
        // Nothing but damage behind the headers.
        broken[200..].fill(0x55);
        scratch.file("lost.h264", &broken);
        scratch.file("empty.mp4", b"");
        scratch.file("tiny.y4m", &y4m(8, 8, 3));
        scratch.file("small.y4m", &y4m(64, 48, 3));
        scratch.file("there.mp4", b"precious");
        scratch.file("there.png", b"precious");
        scratch.file("there.y4m", b"precious");
        scratch.file("bad.index", b"vhwindex, or so");
        scratch.file("times.txt", b"1\n2\n2\n");
        let mut both = Vec::new();
        for (name, (width, height)) in [("a", (64, 48)), ("b", (96, 64))] {
            let input = scratch.file(&format!("{name}.y4m"), &y4m(width, height, 3));
            let output = scratch.path(&format!("{name}.h264"));
            run(&["encode", &input, &output, "-q", "--backend", "software"]).ok();
            both.extend(fs::read(output).unwrap());
        }
        scratch.file("both.h264", &both);
        let small = scratch.path("small.y4m");
        run(&["decode", &small, &scratch.path("f%d.png"), "-q"]).ok();
        fs::remove_file(scratch.path("f2.png")).unwrap();
        Self(scratch)
    }

    /// `small.h264` is a clip of the repository, `@name` a file of this folder.
    fn case(&self, line: &str) -> Case {
        let (line, stdin) = line.split_once(" < ").map_or((line, None), |(line, stdin)| (line, Some(stdin)));
        let place = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.0.path(name),
            None if ["small", "bars", "interlaced"]
                .iter()
                .any(|name| word.starts_with(&format!("{name}."))) =>
            {
                clip(word)
            }
            None => word.to_owned(),
        };
        Case { line: line.split(' ').map(place).collect(), stdin: stdin.map(place) }
    }

    fn cases(&self) -> Vec<Case> {
        let lines = [
            // Outputs in the way, and names that say nothing.
            "transcode small.h264 @there.mp4",
            "trim small.h264 @there.mp4 --start 0.2 --copy",
            "decode small.h264 @there.y4m",
            "encode @small.y4m @there.mp4",
            "thumbnails small.h264 @there.png",
            "transcode small.h264 -",
            "transcode small.h264 @out.xyz",
            "decode small.h264 -",
            // Pictures that no encoder accepts, and a size that changes mid-stream.
            "encode @tiny.y4m @out.mp4",
            "transcode @tiny.y4m @out.mp4",
            "transcode small.h264 @out.mp4 --size 8x8",
            "encode @small.y4m @out.mp4 --scale 8x8",
            "decode @both.h264 @out.y4m",
            "transcode @both.h264 @out.mp4",
            // Damage.
            "decode @broken.h264 --null",
            "decode @lost.h264 --null --keep-going",
            "transcode @lost.h264 @out.mp4 --keep-going",
            "transcode @broken.h264 @out.mp4",
            "decode @cut.mp4 --null",
            "transcode @cut.mp4 @out.mp4 --copy",
            "probe @cut.mp4",
            "probe @empty.mp4",
            "compare @empty.mp4 small.h264",
            "decode small.h264 --md5 --frames-at 1 --index @bad.index",
            "thumbnails small.h264 @out.png --index @bad.index",
            "encode @f%d.png @out.mp4 --fps 5",
            "encode @small.y4m @out.mp4 --timestamps @times.txt",
            // Pipes.
            "decode - --null < bars.mp4",
            "decode - --null --spool=1K < bars.mp4",
            "transcode - @out.mp4 < bars.mp4",
            "trim - @out.mp4 --start 0.2 --copy < bars.mp4",
            "probe - < bars.mp4",
            "probe - --gops < small.h264",
            // Limits.
            "decode small.h264 --null --limits picture-memory=1M",
            "transcode small.h264 @out.mp4 --limits picture-pixels=100",
            "thumbnails small.h264 @out.png --limits picture-pixels=100",
            "encode @small.y4m @out.mp4 --limits picture-pixels=100",
            "compare small.h264 small.h264 --limits picture-pixels=100",
            "transcode bars.mp4 @out.mp4 --copy --limits index-memory=100",
            // What nothing here does, and what one backend does not do.
            "transcode small.h264 @out.mp4 --backend videotoolbox",
            "decode small.h264 --null --backend nvidia",
            "decode small.h264 --null --backend qsv",
            "encode @small.y4m @out.mp4 --backend videotoolbox",
            "thumbnails small.h264 @out.png --backend nvidia",
            "transcode small.h264 @out.mp4 --encoder-backend qsv",
            "transcode small.h264 @out.mp4 --decoder-backend nvidia",
            "transcode small.h264 @out.mp4 --codec hevc --backend software",
            "transcode small.h264 @out.mp4 --codec av1 --encoder-backend software",
            "encode @small.y4m @out.mp4 --codec hevc --backend auto",
            "transcode small.h264 @out.mp4 --backend auto --encoder-backend qsv",
            "transcode small.h264 @out.mp4 --backend auto --codec av1",
            "decode @lost.h264 --null --keep-going --backend auto",
            "decode @lost.h264 --null --keep-going --backend software",
            "encode @small.y4m @out.webm",
            "encode @small.y4m @out.mp4 --bframes 2 --backend software",
            "encode @small.y4m @out.mp4 --preset p4",
            "decode small.h264 --null --low-latency --engines 2",
            "compare small.h264 small.h264 --backend nvidia",
            // Notes on what went well.
            "transcode interlaced.h264 @out.mp4 --frames 5",
            "transcode interlaced.h264 @out.mp4 --frames 5 --deinterlace",
            "transcode bars.mp4 @out.mp4 --bitrate 10k",
            "encode @odd.y4m @out.mp4",
        ];
        self.0.file("odd.y4m", &y4m(65, 49, 3));
        lines.map(|line| self.case(line)).into()
    }
}

fn runs(line: &[String], stdin: Option<&str>) -> Run {
    let mut command = command(line);
    if let Some(stdin) = stdin {
        // A pipe, which can be read once only.
        let mut cat = std::process::Command::new("cat").arg(stdin).stdout(Stdio::piped()).spawn().unwrap();
        command.stdin(cat.stdout.take().unwrap());
        let run = Run::of(command.output().unwrap());
        // It holds the reading end: a program that refuses its input early would leave `cat` waiting.
        drop(command);
        let _ = cat.wait();
        return run;
    }
    Run::of(command.output().unwrap())
}

/// Parses the options of a command from its help, with a flag for those that take a value.
fn options(command: &str) -> BTreeMap<String, bool> {
    let help = run(&[command, "--help"]).ok().out();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let option = |line: &str| {
        let at = line.find("--")?;
        let rest = line.get(at + 2..)?;
        let name = rest.split([' ', '[', '=', '.']).next()?;
        Some((name.to_owned(), rest.contains('<')))
    };
    lines.filter_map(option).collect()
}

/// Extracts the options that a message names, such as `--size` or `--backend auto`.
fn named(message: &str) -> Vec<(String, Option<String>)> {
    let words: Vec<_> = message.split([' ', '(', ')', ';', '"']).filter(|word| !word.is_empty()).collect();
    let pairs = words.iter().enumerate().filter_map(|(at, word)| {
        let option = word.strip_prefix("--")?;
        let value = words
            .get(at + 1)
            .filter(|_| !option.ends_with(','))
            .map(|value| value.trim_end_matches(',').to_owned());
        Some((option.trim_end_matches([',', '.', ':']).to_owned(), value))
    });
    pairs.collect()
}

/// The value of an option on a line; a switch has an empty one.
fn given(line: &[String], option: &str) -> Option<String> {
    let short = match option {
        "overwrite" => "-y",
        "size" => "-s",
        "fps" => "-r",
        _ => "",
    };
    let at = line.iter().position(|word| {
        *word == format!("--{option}") || *word == short || word.starts_with(&format!("--{option}="))
    })?;
    let value = line[at].split_once('=').map(|(_, value)| value.to_owned());
    Some(value.or_else(|| line.get(at + 1).cloned()).unwrap_or_default())
}

#[test]
fn no_advice_is_what_the_command_line_says_already() {
    let inputs = Inputs::new();
    let mut help = BTreeMap::new();
    let (mut errors, mut kinds, mut advised) = (0, BTreeSet::new(), BTreeSet::new());
    for (number, Case { line, stdin }) in inputs.cases().into_iter().enumerate() {
        // Each case alone, and beside an option of its turn: all pairs would take minutes.
        let turns = [0, 1 + number % (BESIDE.len() - 1)];
        for beside in turns.map(|turn| BESIDE[turn]) {
            let line: Vec<String> =
                line.iter().cloned().chain(beside.iter().map(|&word| word.to_owned())).collect();
            let json = if line[0] == "probe" { &["--json"][..] } else { &["--json", "-q"] };
            let whole: Vec<String> =
                line.iter().cloned().chain(json.iter().map(|&word| word.to_owned())).collect();
            let result = runs(&whole, stdin.as_deref());
            for name in ["out.mp4", "out.y4m", "out.png"] {
                let _ = fs::remove_file(inputs.0.path(name));
            }
            for (name, content) in
                [("there.mp4", "precious"), ("there.png", "precious"), ("there.y4m", "precious")]
            {
                inputs.0.file(name, content.as_bytes());
            }
            let document: serde_json::Value = match serde_json::from_slice(&result.stdout) {
                Ok(document) => document,
                // The media is on standard output here, and the report on standard error.
                Err(_) => serde_json::Value::Null,
            };
            // Not a line of this command.
            if document["error"]["kind"] == "usage" {
                continue;
            }
            let accepted = help.entry(line[0].clone()).or_insert_with(|| options(&line[0]));
            let mut advice: Vec<(String, bool)> = Vec::new();
            if let Some(message) = document["error"]["message"].as_str() {
                errors += 1;
                let remedy = document["error"]["remedy"].as_str();
                kinds.extend(remedy.map(str::to_owned));
                assert!(result.stderr.contains(message), "{line:?}: {}", result.stderr);
                advice.push((message.to_owned(), remedy.is_some()));
            }
            let notes = document["notes"].as_array().into_iter().flatten();
            advice.extend(notes.filter_map(|note| Some((note.as_str()?.to_owned(), true))));
            if let Some(message) = document["decode"]["refused"]["message"].as_str() {
                advice.push((message.to_owned(), true));
            }
            for (message, is_remedy) in advice {
                let context = format!("{}: {message}", line.join(" "));
                for (option, value) in named(&message) {
                    // Options of the program that starts a container.
                    if ["gpus", "group-add"].contains(&option.as_str())
                        || value.as_deref() == Some("/dev/dri")
                    {
                        continue;
                    }
                    let takes_value = accepted.get(&option);
                    assert!(takes_value.is_some(), "{} does not take --{option}: {context}", line[0]);
                    if !is_remedy {
                        continue;
                    }
                    advised.insert(option.clone());
                    let has = given(&line, &option);
                    let auto = ["backend", "decoder-backend", "encoder-backend"].contains(&option.as_str());
                    match (takes_value, has, value) {
                        (Some(true), Some(has), Some(value)) => assert_ne!(has, value, "{context}"),
                        (Some(true), None, Some(value)) if auto => {
                            assert_ne!(value, "auto", "the default: {context}");
                        }
                        (Some(false), has, _) => assert!(has.is_none(), "{context}"),
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(errors > 70, "{errors}");
    for kind in [
        "overwrite",
        "size",
        "keep_going",
        "spool",
        "larger_spool",
        "raise_limit",
        "other_backend",
        "output_format",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    for option in
        ["backend", "scale", "size", "overwrite", "keep-going", "spool", "limits", "format", "deinterlace"]
    {
        assert!(advised.contains(option), "no --{option} in {advised:?}");
    }
}

#[test]
fn advice_that_is_followed_helps() {
    let inputs = Inputs::new();
    for (line, addition) in [
        ("transcode small.h264 @there.mp4", "--overwrite"),
        ("decode @both.h264 @out.y4m", "--size 64x48"),
        ("encode @tiny.y4m @out.mp4", "--scale 64x64"),
        ("transcode @tiny.y4m @out.mp4", "--size 64x64"),
        ("encode @f%d.png @out.mp4 --fps 5", "--keep-going"),
        ("decode - --null < bars.mp4", "--spool"),
        ("transcode small.h264 - ", "--format h264"),
    ] {
        let Case { line, stdin } = inputs.case(line);
        let _ = fs::remove_file(inputs.0.path("out.mp4"));
        let line: Vec<String> = line.into_iter().filter(|word| !word.is_empty()).collect();
        let refused = runs(&line, stdin.as_deref());
        let option = addition.split(' ').next().unwrap();
        assert!(refused.code != Some(0) && refused.stderr.contains(option), "{line:?}: {}", refused.stderr);
        let more = addition.split(' ').map(str::to_owned);
        runs(&line.into_iter().chain(more).collect::<Vec<_>>(), stdin.as_deref()).ok();
    }
}

/// One status for damage, whichever file it is in.
#[test]
fn damage_has_one_status() {
    let scratch = Scratch::new();
    let film = clip("small.h264");
    let path = |name: &str| scratch.path(name);
    let index = path("film.index");
    run(&["decode", &film, "--null", "--frames-at", "1", "--index", &index, "-q"]).ok();
    let kept = fs::read(&index).unwrap();
    let mut flipped = kept.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let damaged: [(&str, &[u8]); 4] = [
        ("flipped", &flipped),
        ("short", &kept[..middle]),
        ("none", b""),
        ("words", b"This is a list of films."),
    ];
    for (what, content) in damaged {
        fs::write(&index, content).unwrap();
        let decode = run(&["decode", &film, "--null", "--frames-at", "1", "--index", &index, "--json", "-q"]);
        assert_eq!(decode.json()["error"]["kind"], "corrupt_stream", "{what}");
        decode.refused(1, &["film.index", "delete the index"]);
        run(&["thumbnails", &film, &path("sheet.png"), "--index", &index]).refused(1, &["film.index"]);
    }
    // A whole index of another film is no use either.
    fs::write(&index, &kept).unwrap();
    run(&["decode", &clip("small.h265"), "--null", "--frames-at", "1", "--index", &index])
        .refused(1, &["film.index", "delete the index"]);

    let y4m = scratch.file("in.y4m", &y4m(64, 48, 3));
    for content in [&b"1\n2\n2\n"[..], b"1\nsoon\n3\n", b"", b"1\n2\n\xff\xfe\n", b"1\n2\n"] {
        let times = scratch.file("times.txt", content);
        run(&["encode", &y4m, &path("out.mp4"), "--timestamps", &times, "-q"]).refused(1, &["times.txt"]);
    }
    for (name, content) in [
        ("a.mp4", fs::read(clip("bars.mp4")).unwrap()[..9000].to_vec()),
        ("a.ivf", b"DKIF\0\0\x20\0AV01".to_vec()),
        ("a.mkv", vec![0x1a, 0x45, 0xdf, 0xa3, 0xff, 0xff]),
        ("a.ts", [&[0x47; 1][..], &[0; 187]].concat().repeat(8)),
        ("a.y4m", b"YUV4MPEG2 W64 H48 F25:1\nFRAME\nabc".to_vec()),
        ("a.png", b"\x89PNG\r\n\x1a\n".to_vec()),
        ("a.h264", [0, 0, 0, 1, 0x67, 0x42].repeat(9)),
        ("a.txt", b"a film".to_vec()),
    ] {
        let input = scratch.file(name, &content);
        let encode = ["encode", &input, &path("out.mp4"), "-q"];
        let jobs: [&[&str]; 4] = [
            &["decode", &input, "--null", "-q"],
            &["transcode", &input, &path("out.mp4"), "-q"],
            &["compare", &input, &film, "-q"],
            if matches!(name, "a.y4m" | "a.png") { &encode } else { &["decode", &input, "--md5", "-q"] },
        ];
        for job in jobs {
            let run = run(job);
            assert_eq!(run.code, Some(1), "{job:?}: {}", run.stderr);
        }
    }
    let record = scratch.file("record.json", b"{\"format\": 1}");
    run(&["bench", "report", &record, "--markdown", "-"]).refused(1, &["record.json"]);
}
