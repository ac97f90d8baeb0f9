//! `probe --json` and its schema in docs/ say the same: every key of the one is in the other.

use std::collections::BTreeSet;

use crate::common::{Scratch, clip, have, run, run_with_stdin, tool};
use serde_json::Value;

fn schema() -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/probe.schema.json"));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// Where a schema refers to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{path}")),
        None => schema,
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

/// Fails where `value` is not as the schema says; notes the properties that it has.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, seen: &mut BTreeSet<String>) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&Value| {
            let types = &resolved(root, choice)["type"];
            types.as_str().is_some_and(|name| is_of_type(value, name))
        };
        let choice = choices.iter().find(fits).unwrap_or_else(|| panic!("{at}: {value}"));
        return check(root, choice, value, at, seen);
    }
    let (name, schema) = (schema["$ref"].as_str().unwrap_or(at), resolved(root, schema));
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        other => panic!("{at}: type {other}"),
    };
    assert!(types.iter().any(|name| is_of_type(value, name)), "{at}: {value} is none of {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    if schema["const"].is_string() {
        assert_eq!(schema["const"], *value, "{at}");
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{at}/{number}"), seen);
    }
    let Some(object) = value.as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{at}");
    for key in schema["required"].as_array().unwrap() {
        assert!(object.contains_key(key.as_str().unwrap()), "{at} has no {key}");
    }
    for (key, value) in object {
        let property = &schema["properties"][key];
        assert!(property.is_object(), "{at}: {key} is not in the schema");
        seen.insert(format!("{name}/{key}"));
        check(root, property, value, &format!("{at}/{key}"), seen);
    }
}

#[test]
fn outputs_and_schema_have_the_same_keys() {
    if !have("ffmpeg") {
        return;
    }
    let scratch = Scratch::new();
    let film = scratch.path("film.mp4");
    let args = "-v error -f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -c:a aac -threads 1";
    let args: Vec<_> = args.split(' ').chain(["-metadata:s:a:0", "language=eng", "-y", &film]).collect();
    tool("ffmpeg", &args);
    let prores = scratch.path("prores.mov");
    let args = "-v error -f lavfi -i testsrc2=s=64x48:r=25:d=0.2 -c:v prores -threads 1 -y";
    tool("ffmpeg", &args.split(' ').chain([prores.as_str()]).collect::<Vec<_>>());
    let y4m = scratch.file("in.y4m", &crate::common::y4m(64, 48, 2));
    let raw = scratch.path("raw.h264");
    run(&["transcode", &film, &raw, "--copy", "-q"]).ok();

    let index = scratch.path("raw.index");
    run(&["decode", &raw, "--frame-md5", "--frames-at", "3", "--index", &index, "-q"]).ok();

    let root = schema();
    let mut seen = BTreeSet::new();
    let mut outputs = Vec::new();
    for args in [
        &[film.as_str(), "--gops"][..],
        &[&film],
        &[&prores],
        &[&y4m],
        &[&raw, "--gops"],
        &[&raw, "--index", &index],
        &[&film, "--index", &index],
        &[&clip("bars.mp4")],
    ] {
        outputs.push(run(&[&["probe", "--json"], args].concat()).ok().json());
    }
    let bytes = std::fs::read(&raw).unwrap();
    outputs.push(run_with_stdin(&["probe", "-", "--json"], &bytes).ok().json());
    for output in &outputs {
        check(&root, &root, output, "", &mut seen);
    }
    let definitions = root["$defs"].as_object().unwrap().iter();
    let named = definitions.map(|(name, schema)| (format!("#/$defs/{name}"), schema));
    for (name, schema) in named.chain([(String::new(), &root)]) {
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(seen.contains(&format!("{name}/{key}")), "no output has {name}/{key}");
        }
    }
}

/// How frames are found, and whether an index that was kept is of the file as it is now.
#[test]
fn the_state_of_an_index_is_told() {
    let scratch = Scratch::new();
    let bytes = std::fs::read(clip("small.h264")).unwrap();
    let (film, index) = (scratch.file("film.h264", &bytes), scratch.path("film.index"));
    let asked = |file: &str| {
        let json = run(&["probe", file, "--index", &index, "--json"]).ok().json()["index"].clone();
        let table = run(&["probe", file, "--index", &index]).ok().out();
        (json["by"].clone(), json["stored"]["state"].clone(), json["stored"]["why"].to_string(), table)
    };
    let (by, state, why, table) = asked(&film);
    assert_eq!((by, state, &*why), ("scan".into(), "missing".into(), "null"));
    assert!(table.contains("scan") && table.contains("is not there"), "{table}");
    assert!(!std::path::Path::new(&index).exists(), "probe writes nothing");
    run(&["decode", &film, "--frame-md5", "--frames-at", "3", "--index", &index, "-q"]).ok();
    let (by, state, why, table) = asked(&film);
    assert_eq!((by, state, &*why), ("scan".into(), "fresh".into(), "null"));
    assert!(table.contains("of this state of the file"), "{table}");
    let (by, state, why, table) = asked(&clip("bars.mp4"));
    assert_eq!((by, state), ("tables".into(), "stale".into()));
    assert!(why.contains("bytes now, and had") && table.contains("delete the index"), "{why} {table}");
    scratch.file("film.index", b"no index at all");
    let (_, state, why, _) = asked(&film);
    assert!(state == "stale" && why.contains("too short"), "{state} {why}");
    assert_eq!(run(&["probe", &clip("bars.mp4"), "--json"]).ok().json()["index"]["stored"], Value::Null);
    run_with_stdin(&["probe", "-", "--index", &index], b"\0\0\0\x01").refused(3, &["read only once"]);
}

/// Key frames and frames of each group, as ffprobe counts them.
fn judged(file: &str) -> Vec<u64> {
    let args =
        ["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=flags", "-of", "csv=p=0", file];
    let mut groups = Vec::new();
    for line in tool("ffprobe", &args).lines().filter(|line| !line.is_empty()) {
        if line.starts_with('K') {
            groups.push(0);
        }
        if let Some(last) = groups.last_mut() {
            *last += 1;
        }
    }
    groups
}

#[test]
fn groups_of_pictures_are_those_of_ffprobe() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let open264 = "-c:v libx264 -x264-params open-gop=1:bframes=3:keyint=20:min-keyint=20:scenecut=0";
    let open265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:open-gop=1:bframes=3:keyint=20:min-keyint=20";
    let closed265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:open-gop=0:bframes=3:keyint=20:min-keyint=20";
    for (video, file, open) in [
        ("-c:v libx264 -bf 3 -g 17", "a.mp4", false),
        (open264, "b.mp4", true),
        (open265, "c.mp4", true),
        (closed265, "d.mp4", false),
        ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20", "e.ivf", false),
        ("-c:v libx264 -bf 3 -g 17", "f.h264", false),
        ("-c:v mpeg2video -bf 2 -g 12 -flags +cgop -sc_threshold 1000000000", "g.m2v", false),
        ("-c:v mpeg2video -bf 2 -g 12", "h.m2v", true),
    ] {
        let scratch = Scratch::new();
        let path = scratch.path(file);
        let args = "-v error -f lavfi -i testsrc2=s=160x96:r=25:d=4";
        let args: Vec<_> =
            args.split(' ').chain(video.split(' ')).chain(["-threads", "1", "-y", &path]).collect();
        tool("ffmpeg", &args);
        let json = run(&["probe", &path, "--gops", "--json"]).ok().json();
        let gops = &json["gops"];
        let list: Vec<_> =
            gops["list"].as_array().unwrap().iter().map(|gop| gop["frames"].as_u64().unwrap()).collect();
        let judged = judged(&path);
        assert_eq!(list, judged, "{video}: {gops}");
        assert_eq!((&gops["frames"], &gops["count"]), (&100.into(), &judged.len().into()), "{video}");
        let shortest = judged.iter().min().unwrap();
        let longest = judged.iter().max().unwrap();
        assert_eq!(
            (&gops["shortest"], &gops["longest"]),
            (&(*shortest).into(), &(*longest).into()),
            "{video}"
        );
        let mean = 100.0 / judged.len() as f64;
        assert!((gops["mean"].as_f64().unwrap() - mean).abs() < 1e-9, "{video}: {gops}");
        // Of open groups the first has nothing before it to refer to.
        assert_eq!(gops["open"].as_u64().unwrap() > 0, open, "{video}: {gops}");
        if file.ends_with("mp4") {
            let times = crate::common::frame_times(&path);
            let time = |key: &str| gops[key].as_f64().unwrap();
            assert!((time("first_pts_s") - times[0]).abs() < 1e-5, "{video}: {gops}");
            assert!((time("last_pts_s") - times[times.len() - 1]).abs() < 1e-5, "{video}: {gops}");
            assert!((time("end_s") - 4.0).abs() < 1e-5, "{video}: {gops}");
        }
        let table = run(&["probe", &path, "--gops"]).ok().out();
        assert!(
            table.contains("groups of pictures") && table.contains(if open { ", open" } else { ", closed" }),
            "{table}"
        );
    }
    run_with_stdin(&["probe", "-", "--gops"], b"\0\0\0\x01").refused(3, &["read only once", "save it"]);
}
