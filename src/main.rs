//! The `paperround` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    paperround::cli::main()
}
