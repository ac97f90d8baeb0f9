//! `bench report`: reports from records that were kept.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use video_hw::{Error, Result};
use video_hw_terminal::text;

use crate::outcome::Outcome;
use crate::report::files::{self, Outputs};
use crate::report::{Source, against, baseline, pairs, terminal};

/// The examples of the help of `bench report`.
pub const EXAMPLES: &str = "\
Examples:
  video-hw bench report run.json
  video-hw bench report run.json --html report.html --markdown report.md
  video-hw bench report new.json --baseline old.json   exit code 1 when a row is slower
  video-hw bench report monday.json tuesday.json --html both.html
  video-hw bench report run.json --json | jq '.records[0].rows[] | {id, p95_s, ratio}'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RenderArgs {
    /// Records to show, as `bench --json FILE` writes them
    #[arg(value_name = "RECORD", required = true)]
    pub(crate) records: Vec<PathBuf>,
    /// Write one page that needs nothing else: tables, charts, commands; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the tables as Markdown; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Compare with an older record; fail (exit code 1) when a row is slower than there, or broken
    #[arg(long, value_name = "RECORD")]
    pub(crate) baseline: Option<PathBuf>,
    /// Replace outputs that exist
    #[arg(short = 'y', long, alias = "force")]
    pub(crate) overwrite: bool,
    /// No table on standard output; errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// All figures, and the comparison, as one JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

impl RenderArgs {
    fn outputs(&self) -> Outputs {
        Outputs {
            json: None,
            markdown: self.markdown.clone(),
            html: self.html.clone(),
            overwrite: self.overwrite,
        }
    }

    fn inputs(&self) -> Vec<PathBuf> {
        self.records.iter().chain(&self.baseline).cloned().collect()
    }

    pub(crate) fn files(&self) -> (Vec<PathBuf>, Option<PathBuf>) {
        let outputs = self.outputs();
        let stdout = outputs.paths().find(|path| path.as_path() == Path::new("-"));
        (self.inputs(), stdout.or_else(|| outputs.paths().next()).cloned())
    }
}

pub(crate) fn run(args: &RenderArgs) -> Result<Outcome> {
    let outputs = args.outputs();
    check(args, &outputs)?;
    let several = args.records.len() > 1;
    let source = |path: &PathBuf| -> Result<Source> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Source { name: name.filter(|_| several), record: files::read(path)? })
    };
    let sources: Vec<Source> = args.records.iter().map(source).collect::<Result<_>>()?;
    let old = args.baseline.as_deref().map(files::read).transpose()?;
    let first = sources.first().map(|source| &source.record);
    let comparison = match (old, first) {
        (Some(old), Some(new)) => Some(baseline::judge(&old, new)),
        (None, Some(record)) if !several => against::judge(record),
        _ => None,
    };
    files::write_all(&sources, comparison.as_ref(), &outputs, &args.inputs())?;
    if args.json {
        let records: Vec<_> = sources
            .iter()
            .map(|source| {
                let record = &source.record;
                json!({
                    "name": source.name,
                    "version": record.version,
                    "started": record.started,
                    "simulated": record.machine.simulated,
                    "rows": pairs::figures(record),
                    "warnings": pairs::warnings(record),
                })
            })
            .collect();
        text::to_stdout(&format!("{:#}", json!({ "records": records, "comparison": comparison })))?;
    } else if !args.quiet && outputs.on_stdout() == 0 {
        text::to_stdout(&terminal::text(&sources, comparison.as_ref()))?;
    }
    Ok(if comparison.is_some_and(|c| c.regressed()) { Outcome::Slower } else { Outcome::Done })
}

/// What can be told before anything is read.
fn check(args: &RenderArgs, outputs: &Outputs) -> Result<()> {
    if args.baseline.is_some() && args.records.len() > 1 {
        return Err(Error::invalid("--baseline compares one record with an older one; several were given"));
    }
    if outputs.on_stdout() + usize::from(args.json) > 1 {
        return Err(Error::invalid("only one of --html, --markdown and --json can go to standard output"));
    }
    if args.html.is_some() && args.html == args.markdown {
        return Err(Error::invalid("--html and --markdown name the same file"));
    }
    Ok(())
}
