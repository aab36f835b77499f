//! Dot products: bytes against bytes for the scan and the graph, halves against floats for the last word. Each has a portable
//! form, which the others must equal; the processor's best is found once a process.
#![allow(unsafe_code)] // Intrinsics: each call stands behind a run-time check of its feature and reads within its slices.

use std::sync::LazyLock;

use half::f16;

/// Bytes that a row is a multiple of, so that no kernel has a remainder.
pub const ROW_STEP: usize = 64;

/// The widest instructions that this processor has for the byte kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lanes {
    /// Any processor.
    Portable,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

static LANES: LazyLock<Lanes> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Lanes::Vnni;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            return Lanes::Avx2;
        }
    }
    Lanes::Portable
});

/// What this process uses.
pub fn lanes() -> Lanes {
    *LANES
}

/// Rounds a vector to bytes.
pub fn to_bytes(vector: &[f32], codes: &mut Vec<i8>) -> f32 {
    let most = vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
    codes.extend(vector.iter().map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8));
    codes.resize(codes.len().next_multiple_of(ROW_STEP), 0);
    scale
}

/// The sum of a row's bytes.
pub fn sum(row: &[i8]) -> i32 {
    row.iter().map(|byte| i32::from(*byte)).sum()
}

/// The product of two rows of bytes of the same length.
#[inline]
pub fn bytes(a: &[i8], b: &[i8], lanes: Lanes) -> i32 {
    debug_assert!(a.len() == b.len() && a.len().is_multiple_of(ROW_STEP));
    match lanes {
        Lanes::Portable => bytes_portable(a, b),
        // SAFETY: the variant is only made where its features were found, and both slices have the same length.
        #[cfg(target_arch = "x86_64")]
        Lanes::Avx2 => unsafe { x86::bytes_avx2(a, b) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Lanes::Vnni => unsafe { x86::bytes_vnni(a, b) },
    }
}

fn bytes_portable(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// The products of one row of bytes with those that lie one behind the other in `rows`, one for each of `sums`, which are the
/// sums of the rows' bytes. The same numbers as [`bytes`] gives, sooner: the query is read once for several rows.
pub fn many(query: &[i8], rows: &[i8], sums: &[i32], lanes: Lanes, products: &mut [i32]) {
    let stride = query.len();
    assert!(rows.len() == stride * sums.len() && products.len() == sums.len() && stride.is_multiple_of(ROW_STEP));
    match lanes {
        // SAFETY: the variant is only made where its features were found, and the lengths were compared above.
        #[cfg(target_arch = "x86_64")]
        Lanes::Vnni => unsafe { x86::many_vnni(query, rows, sums, products) },
        _ => {
            for (row, product) in rows.chunks_exact(stride.max(1)).zip(products) {
                *product = bytes(query, row, lanes);
            }
        }
    }
}

/// The product of a row of halves with floats of the same length.
#[inline]
pub fn halves(row: &[f16], query: &[f32], lanes: Lanes) -> f32 {
    debug_assert_eq!(row.len(), query.len());
    match lanes {
        Lanes::Portable => halves_portable(row, query),
        // SAFETY: the variant is only made where its features were found (VNNI machines have F16C and FMA), and both slices
        // have the same length.
        #[cfg(target_arch = "x86_64")]
        Lanes::Avx2 | Lanes::Vnni => unsafe { x86::halves_fma(row, query) },
    }
}

fn halves_portable(row: &[f16], query: &[f32]) -> f32 {
    row.iter().zip(query).map(|(a, b)| a.to_f32() * b).sum()
}

/// Asks for a row before it is needed.
#[inline]
pub fn prefetch(row: &[i8]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64) {
        // SAFETY: a prefetch of an address within a slice has no effect but on the cache.
        unsafe { std::arch::x86_64::_mm_prefetch(line.as_ptr(), std::arch::x86_64::_MM_HINT_T0) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use half::f16;

    #[target_feature(enable = "avx2")]
    pub unsafe fn bytes_avx2(a: &[i8], b: &[i8]) -> i32 {
        // SAFETY: every load reads 16 bytes at an offset below the length, which is a multiple of 64 for both.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); 2];
            for at in (0..a.len()).step_by(32) {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let left = _mm256_cvtepi8_epi16(_mm_loadu_si128(a.as_ptr().add(at + 16 * n).cast()));
                    let right = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.as_ptr().add(at + 16 * n).cast()));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(left, right));
                }
            }
            let sum = _mm256_add_epi32(sums[0], sums[1]);
            let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
            let pair = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0b0100_1110));
            _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0b1011_0001)))
        }
    }

    /// VNNI multiplies unsigned by signed: `a + 128` is unsigned, and 128 times the sum of `b` is taken away again.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn bytes_vnni(a: &[i8], b: &[i8]) -> i32 {
        // SAFETY: every load reads 64 bytes at an offset below the length, which is a multiple of 64 for both.
        unsafe {
            let flip = _mm512_set1_epi8(-128);
            let ones = _mm512_set1_epi8(1);
            let (mut sum, mut over) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for at in (0..a.len()).step_by(64) {
                let left = _mm512_xor_si512(_mm512_loadu_si512(a.as_ptr().add(at).cast()), flip);
                let right = _mm512_loadu_si512(b.as_ptr().add(at).cast());
                sum = _mm512_dpbusd_epi32(sum, left, right);
                over = _mm512_dpbusd_epi32(over, ones, right);
            }
            _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, _mm512_slli_epi32(over, 7)))
        }
    }

    /// Rows that share one reading of the query.
    const TOGETHER: usize = 4;

    /// As [`bytes_vnni`], with the query made unsigned and the rows' sums known beforehand: half the products.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub unsafe fn many_vnni(query: &[i8], rows: &[i8], sums: &[i32], products: &mut [i32]) {
        let (stride, count) = (query.len(), sums.len());
        let whole = count / TOGETHER * TOGETHER;
        // SAFETY: `rows` holds `count` rows of the query's length, and every group ends before that.
        let found = |first: usize| unsafe { group::<TOGETHER>(query, rows.as_ptr().add(first * stride)) };
        for first in (0..whole).step_by(TOGETHER) {
            for (n, product) in found(first).into_iter().enumerate() {
                products[first + n] = product - 128 * sums[first + n];
            }
        }
        for at in whole..count {
            // SAFETY: as above.
            let [product] = unsafe { group::<1>(query, rows.as_ptr().add(at * stride)) };
            products[at] = product - 128 * sums[at];
        }
    }

    /// The products of the query, made unsigned, with `N` rows that lie one behind the other.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn group<const N: usize>(query: &[i8], rows: *const i8) -> [i32; N] {
        let flip = _mm512_set1_epi8(-128);
        let mut found = [_mm512_setzero_si512(); N];
        // SAFETY: the caller gives `N` rows of the query's length, which is a multiple of 64.
        unsafe {
            for at in (0..query.len()).step_by(64) {
                let left = _mm512_xor_si512(_mm512_loadu_si512(query.as_ptr().add(at).cast()), flip);
                for (n, sum) in found.iter_mut().enumerate() {
                    let row = rows.add(n * query.len() + at);
                    *sum = _mm512_dpbusd_epi32(*sum, left, _mm512_loadu_si512(row.cast()));
                }
            }
        }
        found.map(|sum| _mm512_reduce_add_epi32(sum))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn halves_fma(row: &[f16], query: &[f32]) -> f32 {
        let whole = row.len() / 16 * 16;
        // SAFETY: every load reads 8 values at an offset below `whole`, which is at most the length of both.
        let sum = unsafe {
            let mut sums = [_mm256_setzero_ps(); 2];
            for at in (0..whole).step_by(16) {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let left = _mm256_cvtph_ps(_mm_loadu_si128(row.as_ptr().add(at + 8 * n).cast()));
                    *sum = _mm256_fmadd_ps(left, _mm256_loadu_ps(query.as_ptr().add(at + 8 * n)), *sum);
                }
            }
            let sum = _mm256_add_ps(sums[0], sums[1]);
            let half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)))
        };
        sum + super::halves_portable(&row[whole..], &query[whole..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every_lane() -> Vec<Lanes> {
        let mut all = vec![Lanes::Portable, lanes()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            all.push(Lanes::Avx2);
        }
        all
    }

    proptest! {
        #[test]
        fn every_processor_counts_the_same(rows in prop::collection::vec((any::<i8>(), any::<i8>()), 1..300)) {
            let clamp = |byte: i8| byte.max(-127);
            let mut a: Vec<i8> = rows.iter().map(|row| clamp(row.0)).collect();
            let mut b: Vec<i8> = rows.iter().map(|row| clamp(row.1)).collect();
            a.resize(a.len().next_multiple_of(ROW_STEP), 0);
            b.resize(b.len().next_multiple_of(ROW_STEP), 0);
            for lanes in every_lane() {
                prop_assert_eq!(bytes(&a, &b, lanes), bytes_portable(&a, &b));
            }
        }

        #[test]
        fn many_rows_are_each_of_them(drawn in prop::collection::vec(-127i8..=127, 192..2500), steps in 1usize..4) {
            let stride = steps * ROW_STEP;
            let (query, rest) = drawn.split_at(stride);
            let rows = &rest[..rest.len() / stride * stride];
            let sums: Vec<i32> = rows.chunks(stride).map(sum).collect();
            for lanes in every_lane() {
                let mut products = vec![0; sums.len()];
                many(query, rows, &sums, lanes, &mut products);
                let each: Vec<i32> = rows.chunks(stride).map(|row| bytes_portable(query, row)).collect();
                prop_assert_eq!(products, each);
            }
        }

        #[test]
        fn halves_agree(rows in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 1..300)) {
            let row: Vec<f16> = rows.iter().map(|row| f16::from_f32(row.0)).collect();
            let query: Vec<f32> = rows.iter().map(|row| row.1).collect();
            for lanes in every_lane() {
                prop_assert!((halves(&row, &query, lanes) - halves_portable(&row, &query)).abs() < 1e-3);
            }
        }
    }
}
