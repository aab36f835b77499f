//! The one binary. Everything happens in the library, so that tests and benchmarks reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    serve::cli::run()
}
