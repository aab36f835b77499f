//! A GPU of NVIDIA's: the model and the scan over all vectors on it. The driver and cuBLASLt are loaded when they are asked
//! for, so that one binary runs with and without them; our own kernels (`kernels.cu`) come along as PTX, which the driver
//! compiles for its card. Candle's own backend is not used: its kernels take minutes to compile, and none of them would run.
#![allow(unsafe_code)] // The driver's interface: each call names device memory that its owner holds until the stream has been waited for.

mod bert;
mod blas;
mod scan;

use std::sync::{Arc, LazyLock};

use cudarc::cublaslt::result::CublasError;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, sys};
use cudarc::nvrtc::Ptx;
use engine::{Error, Kind, Result};

pub use bert::GpuBert;
pub use scan::GpuScan;

const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

/// A card that is ready for work.
#[derive(Debug)]
pub struct Gpu {
    context: Arc<CudaContext>,
    look_up: CudaFunction,
    normalise: CudaFunction,
    /// By the size of a head, then for short texts and for long ones.
    attend_32: [CudaFunction; 2],
    attend_64: [CudaFunction; 2],
    pool: CudaFunction,
    scan: CudaFunction,
    floor_of: CudaFunction,
    collect: CudaFunction,
    /// Multiprocessors.
    processors: u32,
}

/// The first card, opened once for all that would use one; `None` where there is none, or where it failed, which is said.
pub fn first() -> Option<&'static Arc<Gpu>> {
    static FIRST: LazyLock<Option<Arc<Gpu>>> = LazyLock::new(|| {
        // SAFETY: both only try to open a library.
        let libraries = unsafe { sys::is_culib_present() && cudarc::cublaslt::sys::is_culib_present() };
        if !libraries || CudaContext::device_count().unwrap_or(0) == 0 {
            return None;
        }
        Gpu::open(0).inspect_err(|e| tracing::warn!(error = %e, "the processor works in place of the GPU")).ok()
    });
    FIRST.as_ref()
}

impl Gpu {
    /// Whether a card of this number can be asked for. `NotFound` says which part is missing.
    pub fn look(ordinal: usize) -> Result<()> {
        let missing = |what: &str| Err(Error::new(Kind::NotFound, format!("no GPU can be used: {what}")));
        // SAFETY: only tries to open a library.
        if !unsafe { sys::is_culib_present() } {
            return missing("NVIDIA's driver (libcuda.so) is not here");
        }
        // SAFETY: as above.
        if !unsafe { cudarc::cublaslt::sys::is_culib_present() } {
            return missing("cuBLASLt of CUDA 13 (libcublasLt.so) is not where libraries are looked for");
        }
        let count = CudaContext::device_count().map_err(failed("count the GPUs"))?;
        if usize::try_from(count).unwrap_or(0) <= ordinal {
            return missing(&format!("there are {count}, and number {ordinal} was asked for (the first is 0)"));
        }
        Ok(())
    }

    /// Opens a card by its number, if [`Gpu::look`] finds it.
    pub fn open(ordinal: usize) -> Result<Arc<Gpu>> {
        Gpu::look(ordinal)?;
        let context = CudaContext::new(ordinal).map_err(failed("open the GPU"))?;
        // SAFETY: memory is only used on the stream that it was made on; what streams share is written before they begin.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(Ptx::from_src(KERNELS)).map_err(failed("load our kernels onto the GPU"))?;
        let function = |name: &str| module.load_function(name).map_err(failed("find a kernel"));
        let processors = context
            .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(failed("ask the GPU for its size"))?;
        Ok(Arc::new(Gpu {
            look_up: function("look_up")?,
            normalise: function("normalise")?,
            attend_32: [function("attend_32_4")?, function("attend_32_8")?],
            attend_64: [function("attend_64_4")?, function("attend_64_8")?],
            pool: function("pool")?,
            scan: function("scan")?,
            floor_of: function("floor_of")?,
            collect: function("collect")?,
            processors: processors.unsigned_abs().max(1),
            context,
        }))
    }

    /// The card's name as its driver says it.
    pub fn name(&self) -> String {
        self.context.name().unwrap_or_else(|_| "a GPU without a name".to_owned())
    }

    fn stream(&self) -> Result<Arc<CudaStream>> {
        self.context.new_stream().map_err(failed("open a stream of the GPU"))
    }
}

/// Names what was being done when the driver said no; of memory that was not there, how to ask for less.
fn failed(doing: &'static str) -> impl Fn(DriverError) -> Error {
    move |e| {
        if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            let text =
                format!("{doing}: the GPU's memory is full; other programs hold it, or the index is too large for it");
            return Error::new(Kind::Unavailable, text);
        }
        Error::unavailable(doing, e)
    }
}

fn refused(e: CublasError) -> Error {
    Error::unavailable("multiply on the GPU", e)
}

#[cfg(test)]
mod tests;
