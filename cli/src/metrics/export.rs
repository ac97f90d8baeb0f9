//! Figures of a running job to the outside, for as long as it runs.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json as value};
use video_hw::metrics::{self, Snapshot, snapshot};
use video_hw::output_file::OutputFile;
use video_hw::{Error, Result};

use super::args::MetricsArgs;
use super::endpoint::Endpoint;

/// Begun before a job, ended behind it.
pub(crate) struct Exporting {
    endpoint: Option<Endpoint>,
    file: Option<OutputFile>,
}

impl Exporting {
    /// Opens what is asked for.
    ///
    /// # Errors
    /// An address that cannot be had, a file that cannot be written.
    pub(crate) fn begin(args: &MetricsArgs, quiet: bool) -> Result<Self> {
        let file = match args.file.as_deref() {
            Some(path) if path == Path::new("-") => {
                return Err(Error::invalid(
                    "--metrics-file writes a file; --metrics-addr serves the figures",
                ));
            }
            // It is replaced each time: that is what its readers expect.
            Some(path) => Some(OutputFile::create(path, true, &[])?),
            None => None,
        };
        let endpoint = args.addr.as_ref().map(Endpoint::open).transpose()?;
        if let (Some(endpoint), Some(wanted)) = (&endpoint, &args.addr)
            && (!quiet || wanted.port == 0)
        {
            video_hw_terminal::text::to_stderr(&format!("metrics: {}", endpoint.url()));
        }
        Ok(Self { endpoint, file })
    }

    /// The job has ended, well or not.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.endpoint);
        let Some(file) = self.file else { return Ok(()) };
        let text = snapshot().to_prometheus();
        file.writer()
            .write_all(text.as_bytes())
            .map_err(|source| Error::io_writing("write", file.path(), source))?;
        file.commit()
    }
}

/// Every figure, as the `metrics` of a report: a list for each metric, histograms as count, sum and percentiles.
pub(crate) fn json() -> Value {
    of(&snapshot())
}

fn of(snapshot: &Snapshot) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for series in snapshot.series() {
        let labels: Map<_, _> =
            series.labels.iter().map(|(name, text)| ((*name).to_owned(), value!(text))).collect();
        let figure = match &series.value {
            metrics::Value::Counter(count) => value!(count),
            metrics::Value::Gauge(level) => value!(level),
            metrics::Value::Histogram(times) => {
                let summary = times.summary();
                value!({
                    "count": summary.count,
                    "sum": times.total().as_secs_f64(),
                    "p50": summary.p50.as_secs_f64(),
                    "p95": summary.p95.as_secs_f64(),
                    "p99": summary.p99.as_secs_f64(),
                    "max": summary.max.as_secs_f64(),
                })
            }
            _ => Value::Null,
        };
        let list = all.entry(series.metric.name).or_insert_with(|| value!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value!({ "labels": labels, "value": figure }));
        }
    }
    Value::Object(all)
}
