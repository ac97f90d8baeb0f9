//! Files of reports and records.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};

use super::baseline::Comparison;
use super::page::Source;
use super::{html, markdown};
use crate::aims;
use crate::record::{FORMAT, Record};

/// Where a report goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs {
    /// The record itself.
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) overwrite: bool,
}

impl Outputs {
    /// How many of them go to standard output.
    pub(crate) fn on_stdout(&self) -> usize {
        self.paths().filter(|path| path.as_path() == Path::new("-")).count()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.json.iter().chain(&self.markdown).chain(&self.html)
    }
}

/// Writes one record, with what came of comparing it.
pub(crate) fn write(record: &Record, comparison: Option<&Comparison>, outputs: &Outputs) -> Result<()> {
    let source = Source { name: None, record: record.clone() };
    let only = |outputs: &Outputs| write_all(std::slice::from_ref(&source), comparison, outputs, &[]);
    // First what cannot be made again: whatever keeps a page from being written must not cost the record.
    only(&Outputs { markdown: None, html: None, ..outputs.clone() })?;
    only(&Outputs { json: None, ..outputs.clone() })
}

/// Writes several records side by side; the JSON is that of the first.
pub(crate) fn write_all(
    sources: &[Source],
    comparison: Option<&Comparison>,
    outputs: &Outputs,
    inputs: &[PathBuf],
) -> Result<()> {
    // All are opened before any is written: what exists already is told before anything is done.
    let open = |path: &Option<PathBuf>| {
        path.as_deref().map(|path| OutputFile::create(path, outputs.overwrite, inputs)).transpose()
    };
    let (json, markdown, html) = (open(&outputs.json)?, open(&outputs.markdown)?, open(&outputs.html)?);
    if let (Some(file), Some(source)) = (json, sources.first()) {
        let text = serde_json::to_string_pretty(&source.record)
            .map_err(|e| Error::invalid(format!("the record cannot be written as JSON: {e}")))?;
        put(file, &(text + "\n"))?;
    }
    if let Some(file) = markdown {
        put(file, &markdown::page(sources, comparison))?;
    }
    if let Some(file) = html {
        put(file, &html::page(sources, comparison))?;
    }
    Ok(())
}

fn put(file: OutputFile, text: &str) -> Result<()> {
    let path = file.path().to_owned();
    file.writer().write_all(text.as_bytes()).map_err(|e| Error::io_writing("write", path, e))?;
    file.commit()
}

/// The largest record that is read; a thousand rows of a hundred runs need a tenth of it.
const LARGEST: u64 = 64 << 20;
/// More rows, or runs of one, are no benchmark: comparing all with all takes its time and memory.
const MOST: usize = 1_000;

/// Of a record, read first, because a later format may have other fields.
#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// Reads a record.
///
/// # Errors
/// [`Error::Io`], and [`Error::InvalidInput`] for what is none.
pub(crate) fn read(path: &Path) -> Result<Record> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|e| Error::io("read", path, e))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::invalid_file(path, "is larger than 64 MiB, which no record of bench is"));
    }
    let wrong = |e: serde_json::Error| {
        Error::invalid_file(path, format!("is no record of bench: {e}; `video-hw bench --json` writes them"))
    };
    let Version { format } = serde_json::from_slice(&text).map_err(wrong)?;
    if format > FORMAT {
        return Err(Error::invalid_file(
            path,
            format!("is of format {format}, of a later version of this program, which reads up to {FORMAT}"),
        ));
    }
    let mut record: Record = serde_json::from_slice(&text).map_err(wrong)?;
    if record.rows.len() > MOST || record.rows.iter().any(|row| row.runs.len() > MOST) {
        return Err(Error::invalid_file(path, format!("has more than {MOST} rows, or runs of one row")));
    }
    record.rows.iter_mut().for_each(aims::set);
    Ok(record)
}
