//! Maps the result of the command line to an exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    headroom::cli::main()
}
