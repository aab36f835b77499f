//! With the feature `cuda`: compiles our kernels to PTX. nvcc is looked for in CUDA_HOME, CUDA_PATH, then on PATH; neither a
//! GPU nor a driver is needed. `make cuda` fetches it where it is missing.

use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "cuda/kernels.cu";
/// The oldest cards with the tensor cores' instructions that the kernels use; newer ones compile the same PTX for themselves.
const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={SOURCE}");
    let homes = ["CUDA_HOME", "CUDA_PATH"];
    homes.iter().for_each(|name| println!("cargo::rerun-if-env-changed={name}"));
    let home = homes.iter().find_map(|name| std::env::var_os(name)).map(PathBuf::from);
    let nvcc = home.map_or_else(|| PathBuf::from("nvcc"), |home| home.join("bin/nvcc"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write")).join("kernels.ptx");
    let mut command = Command::new(&nvcc);
    command.args(["-ptx", "-O3", "-std=c++17", "-Werror=all-warnings", "-arch", ARCHITECTURE, SOURCE, "-o"]).arg(&out);
    match command.status() {
        Ok(status) if status.success() => (),
        Ok(status) => panic!("{} could not compile {SOURCE}: {status}", nvcc.display()),
        Err(e) => panic!("{} cannot be run ({e}): `make cuda` fetches it, or set CUDA_HOME", nvcc.display()),
    }
}
