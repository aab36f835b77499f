//! Matrix products by cuBLASLt, with what follows a product done in the same pass: the bias, the activation, the sum with what
//! was there before.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, size_of};
use std::ptr::from_ref;
use std::sync::Arc;

use cudarc::cublaslt::{result, sys};
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use engine::{Error, Kind, Result};
use half::f16;

use super::{failed, refused};

/// Memory that cuBLASLt may use for one product, as NVIDIA advises for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;
/// Ways to compute a product that tuning compares.
const WAYS: usize = 8;
/// Runs of each, of which the last ones are timed.
const RUNS: (usize, usize) = (2, 6);

/// cuBLAS's number for a matrix that is read by its rows (`CUBLAS_OP_T`), which is not among the bindings of cuBLASLt.
const OP_T: c_int = 1;

/// What follows a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    /// The bias.
    Bias,
    /// The bias and GELU, by its tanh form, which differs from the exact one by less than a half can show.
    Gelu,
    /// The bias and what was there before.
    Onto,
}

/// Weights of one product on the card: `columns x depth`, row by row, and a bias a column.
#[derive(Debug)]
pub struct Weights {
    pub numbers: CudaSlice<f16>,
    pub bias: CudaSlice<f16>,
    pub columns: usize,
    pub depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    rows: usize,
    columns: usize,
    depth: usize,
    then: Then,
}

/// Products of one stream.
#[derive(Debug)]
pub struct Blas {
    handle: sys::cublasLtHandle_t,
    preference: sys::cublasLtMatmulPreference_t,
    stream: Arc<CudaStream>,
    workspace: CudaSlice<u8>,
    plans: HashMap<Shape, Plan>,
}

#[derive(Debug)]
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    weights: sys::cublasLtMatrixLayout_t,
    left: sys::cublasLtMatrixLayout_t,
    out: sys::cublasLtMatrixLayout_t,
    ways: Vec<sys::cublasLtMatmulAlgo_t>,
}

// SAFETY: the handle and the plans may be used by one thread at a time, whichever; `&mut self` sees to that.
unsafe impl Send for Blas {}

impl Blas {
    pub fn new(stream: &Arc<CudaStream>) -> Result<Blas> {
        stream.context().bind_to_thread().map_err(failed("work with the GPU"))?;
        let workspace = stream.alloc_zeros(WORKSPACE_BYTES).map_err(failed("take memory of the GPU"))?;
        let handle = result::create_handle().map_err(refused)?;
        let preference = result::create_matmul_pref().map_err(refused)?;
        let bytes = WORKSPACE_BYTES as u64;
        let kind = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: the attribute is a number of eight bytes, which is copied.
        unsafe { result::set_matmul_pref_attribute(preference, kind, from_ref(&bytes).cast(), size_of::<u64>()) }
            .map_err(refused)?;
        Ok(Blas { handle, preference, stream: stream.clone(), workspace, plans: HashMap::new() })
    }

    /// `out = left x weights + …` for `rows` rows of halves: `left` has the weights' depth, `out` their columns.
    ///
    /// # Safety
    /// Both are device memory of that size, used on this stream only, and `out` overlaps nothing that is read.
    pub unsafe fn multiply(
        &mut self,
        weights: &Weights,
        left: CUdeviceptr,
        out: CUdeviceptr,
        rows: usize,
        then: Then,
    ) -> Result<()> {
        let shape = Shape { rows, columns: weights.columns, depth: weights.depth, then };
        if !self.plans.contains_key(&shape) {
            let plan = self.plan(shape)?;
            self.plans.insert(shape, plan);
        }
        let plan = &self.plans[&shape];
        // SAFETY: as the caller says.
        unsafe { self.run(plan, &plan.ways[0], weights, left, out, then) }
    }

    /// Puts the quickest way first, tried on the memory that it is to be used on; what lies there is lost.
    ///
    /// # Safety
    /// As [`Blas::multiply`].
    pub unsafe fn tune(
        &mut self,
        weights: &Weights,
        left: CUdeviceptr,
        out: CUdeviceptr,
        rows: usize,
        then: Then,
    ) -> Result<()> {
        let shape = Shape { rows, columns: weights.columns, depth: weights.depth, then };
        let mut plan = self.plan(shape)?;
        let event = || {
            let flags = Some(cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT);
            self.stream.record_event(flags).map_err(failed("time the GPU"))
        };
        let mut best = (f32::INFINITY, 0);
        for (at, way) in plan.ways.iter().enumerate() {
            for _ in 0..RUNS.0 {
                // SAFETY: as the caller says.
                unsafe { self.run(&plan, way, weights, left, out, then) }?;
            }
            let start = event()?;
            for _ in RUNS.0..RUNS.1 {
                // SAFETY: as above.
                unsafe { self.run(&plan, way, weights, left, out, then) }?;
            }
            let took = start.elapsed_ms(&event()?).map_err(failed("time the GPU"))?;
            if took < best.0 {
                best = (took, at);
            }
        }
        plan.ways.swap(0, best.1);
        self.plans.insert(shape, plan);
        Ok(())
    }

    /// cuBLASLt counts by columns: our rows of `left` are its columns, and our weights lie turned already.
    fn plan(&self, shape: Shape) -> Result<Plan> {
        let half = sys::cudaDataType_t::CUDA_R_16F;
        let (rows, columns, depth) = (shape.rows as u64, shape.columns as u64, shape.depth as u64);
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let product = result::create_matmul_desc(compute, sys::cudaDataType_t::CUDA_R_32F).map_err(refused)?;
        let set = |kind, value: *const c_void, size| {
            // SAFETY: the attribute is copied and has this size.
            unsafe { result::set_matmul_desc_attribute(product, kind, value, size) }.map_err(refused)
        };
        let turned = OP_T;
        let kind = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
        set(kind, from_ref(&turned).cast(), size_of::<c_int>())?;
        let epilogue = match shape.then {
            Then::Bias | Then::Onto => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Then::Gelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        let kind = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE;
        set(kind, from_ref(&epilogue).cast(), size_of::<sys::cublasLtEpilogue_t>())?;
        let layout = |rows, columns| result::create_matrix_layout(half, rows, columns, rows as i64).map_err(refused);
        let (weights, left, out) = (layout(depth, columns)?, layout(depth, rows)?, layout(columns, rows)?);
        let mut found = vec![MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed(); WAYS];
        let mut count = 0;
        // SAFETY: everything named was made above; at most WAYS results are written.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                product,
                weights,
                left,
                out,
                out,
                self.preference,
                WAYS as c_int,
                found.as_mut_ptr().cast(),
                &raw mut count,
            )
        };
        status.result().map_err(refused)?;
        // SAFETY: so many were written, and zeroes are a valid result as well.
        let found = found.into_iter().take(count.unsigned_abs() as usize).map(|found| unsafe { found.assume_init() });
        let ways: Vec<_> = found.filter(|found| found.state.result().is_ok()).map(|found| found.algo).collect();
        if ways.is_empty() {
            let text =
                format!("the GPU knows no way to multiply {} x {} by {}", shape.rows, shape.depth, shape.columns);
            return Err(Error::new(Kind::Unavailable, text));
        }
        Ok(Plan { product, weights, left, out, ways })
    }

    unsafe fn run(
        &self,
        plan: &Plan,
        way: &sys::cublasLtMatmulAlgo_t,
        weights: &Weights,
        left: CUdeviceptr,
        out: CUdeviceptr,
        then: Then,
    ) -> Result<()> {
        let (bias, _bias) = weights.bias.device_ptr(&self.stream);
        let (numbers, _numbers) = weights.numbers.device_ptr(&self.stream);
        let (workspace, _workspace) = self.workspace.device_ptr(&self.stream);
        let (one, before) = (1.0f32, if then == Then::Onto { 1.0f32 } else { 0.0 });
        let kind = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
        // SAFETY: the pointer is copied; sizes are as the plan's shape says, which the caller vouches for.
        unsafe {
            result::set_matmul_desc_attribute(plan.product, kind, from_ref(&bias).cast(), size_of::<CUdeviceptr>())
                .map_err(refused)?;
            result::matmul(
                self.handle,
                plan.product,
                from_ref(&one).cast(),
                from_ref(&before).cast(),
                numbers as *const c_void,
                plan.weights,
                left as *const c_void,
                plan.left,
                out as *const c_void,
                plan.out,
                out as *mut c_void,
                plan.out,
                way,
                workspace as *mut c_void,
                WORKSPACE_BYTES,
                self.stream.cu_stream().cast(),
            )
            .map_err(refused)
        }
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // What cannot be given back is the driver's to clean up.
        let _ = self.stream.synchronize();
        // SAFETY: made by us, and nothing uses them any more.
        unsafe {
            for plan in self.plans.values() {
                let _ = result::destroy_matmul_desc(plan.product);
                for layout in [plan.weights, plan.left, plan.out] {
                    let _ = result::destroy_matrix_layout(layout);
                }
            }
            let _ = result::destroy_matmul_pref(self.preference);
            let _ = result::destroy_handle(self.handle);
        }
    }
}
