//! What those examples that are tools have in common: options, their help, and what the exit status says.

use std::io::Write;
use std::process::ExitCode;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed<O> {
    Run(O),
    Help,
}

/// Does what the command line asks for. Exit status: 0; 1 where `run` has failed, or says that something does not hold; 2 for
/// a wrong command line.
pub(crate) fn main<O>(
    help: &str,
    parse: impl FnOnce(std::iter::Skip<std::env::Args>) -> Result<Parsed<O>, String>,
    run: impl FnOnce(&O) -> Result<bool, AnyError>,
) -> ExitCode {
    const NAME: &str = env!("CARGO_BIN_NAME");
    let options = match parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Help) => {
            // A pager that was left early is no failure.
            let _ = writeln!(std::io::stdout(), "{help}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{NAME}: {error}\n\n{help}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}
