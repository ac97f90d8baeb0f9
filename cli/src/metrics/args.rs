//! The options, and what an address is.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsArgs {
    /// Serve figures for Prometheus while the job runs, on this machine only: 9464 is http://127.0.0.1:9464/metrics, 0
    /// takes a free port and prints it. With a host, other machines can connect: 0.0.0.0:9464
    #[arg(long = "metrics-addr", id = "metrics_addr", value_name = "[HOST:]PORT", value_parser = address)]
    pub(crate) addr: Option<Address>,
    /// Write the same figures to FILE when the job ends, in success or failure (for node_exporter's textfile collector)
    #[arg(long = "metrics-file", id = "metrics_file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name of the job in its metrics: the value of the label `stream`
    #[arg(long = "metrics-stream", id = "metrics_stream", value_name = "NAME", value_parser = stream)]
    pub(crate) stream: Option<String>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

const LOOPBACK: &str = "127.0.0.1";

fn address(text: &str) -> Result<Address, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port = port.parse().map_err(|_| {
        format!(
            "{port:?} is no port: give a number up to 65535, as in 9464 or 192.0.2.7:9464; 0 is any free one"
        )
    })?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match (host, bare) {
        ("", _) => Ok(Address { host: LOOPBACK.to_owned(), port }),
        ("*", _) => Err("* is no address: 0.0.0.0 is all of this machine's".to_owned()),
        (_, Some(bare)) => Ok(Address { host: bare.to_owned(), port }),
        (host, None) if host.contains(':') => {
            Err(format!("{host:?} is no host; IPv6 addresses stand in brackets: [::1]:9464"))
        }
        (host, None) => Ok(Address { host: host.to_owned(), port }),
    }
}

fn stream(text: &str) -> Result<String, String> {
    const MOST: usize = 128;
    if text.is_empty() || text.len() > MOST || text.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {MOST} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_that_is_written_out_is_another_than_this_machine() {
        let at = |host: &str, port| Address { host: host.to_owned(), port };
        for (text, wanted) in [
            ("9464", at(LOOPBACK, 9464)),
            (":9464", at(LOOPBACK, 9464)),
            ("0", at(LOOPBACK, 0)),
            ("localhost:1", at("localhost", 1)),
            ("0.0.0.0:9464", at("0.0.0.0", 9464)),
            ("[::1]:9464", at("::1", 9464)),
        ] {
            assert_eq!(address(text), Ok(wanted), "{text}");
        }
        for (text, word) in [
            ("70000", "65535"),
            ("", "no port"),
            ("host:", "no port"),
            ("::1:9464", "brackets"),
            ("*:1", "0.0.0.0"),
        ] {
            let said = address(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
        assert!(stream("").is_err() && stream("a\nb").is_err() && stream("camera left").is_ok());
    }
}
