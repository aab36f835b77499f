//! The one binary. Everything happens in the library, so that tests and benchmarks reach it too.

use std::process::ExitCode;

/// Batches come and go by the megabyte on many threads; the system's allocator is slower at that and gives less back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    serve::cli::run()
}
