//! Where a run's reports go.

use std::path::{Path, PathBuf};

use video_hw::codec::Codec;
use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};
use video_hw_terminal::text;

use super::args::{BenchArgs, distinct};
use super::machine;
use super::record::Record;
use crate::report::baseline::Comparison;
use crate::report::files::{self, Outputs};
use crate::report::{Source, terminal};

/// The files that are asked for.
///
/// # Errors
/// Files that exist, where they may not be replaced, or that cannot be written: found out now and not when hours are over.
pub(crate) fn files(args: &BenchArgs) -> Result<Outputs> {
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).map_err(|e| Error::io_writing("create", dir.clone(), e))?;
    }
    let stem = stem(args, &machine::now());
    let in_folder = |extension: &str| args.out.as_ref().map(|dir| dir.join(format!("{stem}.{extension}")));
    let outputs = Outputs {
        json: args.json.clone().or_else(|| in_folder("json")),
        markdown: args.markdown.clone().or_else(|| in_folder("md")),
        html: args.html.clone().or_else(|| in_folder("html")),
        overwrite: args.overwrite,
    };
    if outputs.on_stdout() > 1 {
        return Err(Error::invalid("only one of --json, --markdown and --html can go to standard output"));
    }
    let input: Vec<PathBuf> = args.what()?.input.into_iter().collect();
    let mut known = Vec::new();
    for path in outputs.paths().filter(|path| path.as_path() != Path::new("-")) {
        if OutputFile::is_written_directly(path) {
            // A device or pipe: opening it would be the first thing that its reader sees.
            continue;
        }
        if path.exists() && !outputs.overwrite {
            return Err(Error::invalid(format!(
                "output {} exists already; give --overwrite (-y) or choose another name",
                path.display()
            )));
        }
        // What it made goes away with it.
        drop(OutputFile::create(path, outputs.overwrite, &input)?);
        let place = in_its_folder(path);
        if known.contains(&place) {
            return Err(Error::invalid(format!(
                "{} is named for two reports; name two files",
                path.display()
            )));
        }
        known.push(place);
    }
    Ok(outputs)
}

/// What a record is called by itself: codecs and time, so that one does not take the place of another.
fn stem(args: &BenchArgs, now: &str) -> String {
    let codecs: Vec<_> = distinct(&args.codec).into_iter().map(Codec::name).collect();
    let codecs = if codecs.is_empty() { "all".to_owned() } else { codecs.join("-") };
    let time: String = now.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("bench-{codecs}-{time}")
}

/// The same for one file by two names of its folder.
fn in_its_folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default())
}

/// Writes a record to where it was asked for, and the tables to standard output unless something else goes there.
///
/// # Errors
/// What the writing fails of.
pub(crate) fn write(record: &Record, comparison: Option<&Comparison>, outputs: &Outputs) -> Result<()> {
    files::write(record, comparison, outputs)?;
    if outputs.on_stdout() > 0 {
        return Ok(());
    }
    let source = Source { name: None, record: record.clone() };
    text::to_stdout(&terminal::text(&[source], comparison))
}
