// What runs on a GPU between the matrix products, and the scan over all vectors. Compiled to PTX by `build.rs`.
//
// Tokens of all texts lie one behind the other, as on the processor: nothing is padded. Numbers are stored as halves and
// summed in single precision. A warp's 32 threads are eight groups of four, as the tensor cores' fragments ask: `group` is a
// row of a fragment, `quarter` two of its columns.

#include <cuda_fp16.h>
#include <stdint.h>

namespace {

constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffffu;
// Fours of numbers of a row that one thread of a warp holds: rows of up to 1,024 numbers.
constexpr int FOURS_MAX = 8;
constexpr float LOG2_E = 1.4426950408889634f;

__device__ __forceinline__ float sum_over_warp(float value) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL, value, step);
    return value;
}

__device__ __forceinline__ float4 widened(uint2 four) {
    const float2 low = __half22float2(*reinterpret_cast<const half2*>(&four.x));
    const float2 high = __half22float2(*reinterpret_cast<const half2*>(&four.y));
    return {low.x, low.y, high.x, high.y};
}

// A row that one warp holds, brought to mean 0 and variance 1, then scaled and moved.
__device__ __forceinline__ void write_normal(float4 (&row)[FOURS_MAX], const float4* gain, const float4* bias,
                                             float epsilon, int width, uint2* out) {
    const int lane = threadIdx.x % WARP, fours = width / 4;
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) sum += row[n].x + row[n].y + row[n].z + row[n].w;
    const float mean = sum_over_warp(sum) / width;
    float squares = 0.0f;
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) {
        if (lane + n * WARP < fours) {
            row[n] = {row[n].x - mean, row[n].y - mean, row[n].z - mean, row[n].w - mean};
            squares += row[n].x * row[n].x + row[n].y * row[n].y + row[n].z * row[n].z + row[n].w * row[n].w;
        }
    }
    const float scale = rsqrtf(sum_over_warp(squares) / width + epsilon);
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) {
        const int at = lane + n * WARP;
        if (at < fours) {
            const float4 g = gain[at], b = bias[at];
            const half2 low = __floats2half2_rn(row[n].x * scale * g.x + b.x, row[n].y * scale * g.y + b.y);
            const half2 high = __floats2half2_rn(row[n].z * scale * g.z + b.z, row[n].w * scale * g.w + b.w);
            out[at] = {*reinterpret_cast<const uint32_t*>(&low), *reinterpret_cast<const uint32_t*>(&high)};
        }
    }
}

// d += a b on the tensor cores: 16 x 16 halves by 16 x 8.
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t a0, const uint32_t a1, const uint32_t a2,
                                         const uint32_t a3, const uint32_t b0, const uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void load_four(uint32_t (&r)[4], const half* from) {
    const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(from));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
}

__device__ __forceinline__ void load_four_turned(uint32_t (&r)[4], const half* from) {
    const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(from));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
}

__device__ __forceinline__ uint32_t pair(float x, float y) {
    const half2 both = __floats2half2_rn(x, y);
    return *reinterpret_cast<const uint32_t*>(&both);
}

__device__ __forceinline__ float power_of_two(float value) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value));
    return power;
}

// Sixteen bytes on their way into shared memory; zeros where there is nothing to read.
__device__ __forceinline__ void send(half* to, const half* from, bool there) {
    const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(there ? 16 : 0));
}

__device__ __forceinline__ void end_of_parcel() { asm volatile("cp.async.commit_group;"); }

// Waits for all parcels but the last few.
template <int ON_THE_WAY>
__device__ __forceinline__ void wait_for_parcels() {
    asm volatile("cp.async.wait_group %0;" ::"n"(ON_THE_WAY));
}

// Keys that lie in shared memory together; the warps of a block share them, each with sixteen queries.
constexpr int KEYS = 64;

// Attention of one head over one text, for sixteen tokens a warp: softmax(q k^T) v with running maxima, so that no row of
// scores is ever stored; the next keys travel while these are computed with. `tiles` holds a block's text: its first token,
// its tokens, the first query.
template <int SIZE, int WARPS>
__device__ __forceinline__ void attend(const half* __restrict__ projected, half* __restrict__ context,
                                       const int* __restrict__ tiles, int width, float scale) {
    // Eight halves of padding let the rows of a fragment lie in different banks.
    constexpr int PITCH = SIZE + 8, CHUNKS = SIZE / 8;
    __shared__ __align__(16) half keys[2][KEYS * PITCH];
    __shared__ __align__(16) half values[2][KEYS * PITCH];
    const int first = tiles[blockIdx.x * 3], tokens = tiles[blockIdx.x * 3 + 1], query = tiles[blockIdx.x * 3 + 2];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quarter = lane % 4;
    const int stride = 3 * width, upper = query + warp * 16 + group, lower = upper + 8;
    const half* base = projected + static_cast<size_t>(first) * stride + blockIdx.y * SIZE;
    const bool idle = query + warp * 16 >= tokens;

    const auto fetch = [&](int key, int slot) {
#pragma unroll
        for (int n = threadIdx.x; n < KEYS * CHUNKS; n += WARPS * WARP) {
            const int row = n / CHUNKS, column = n % CHUNKS * 8;
            const bool there = key + row < tokens;
            const half* from = base + static_cast<size_t>(there ? key + row : 0) * stride + width + column;
            send(keys[slot] + row * PITCH + column, from, there);
            send(values[slot] + row * PITCH + column, from + width, there);
        }
        end_of_parcel();
    };
    fetch(0, 0);

    uint32_t q[SIZE / 16][4];
#pragma unroll
    for (int n = 0; n < SIZE / 16; n++) {
        const half* up = base + static_cast<size_t>(upper) * stride + n * 16 + quarter * 2;
        const half* low = base + static_cast<size_t>(lower) * stride + n * 16 + quarter * 2;
        q[n][0] = upper < tokens ? *reinterpret_cast<const uint32_t*>(up) : 0;
        q[n][1] = lower < tokens ? *reinterpret_cast<const uint32_t*>(low) : 0;
        q[n][2] = upper < tokens ? *reinterpret_cast<const uint32_t*>(up + 8) : 0;
        q[n][3] = lower < tokens ? *reinterpret_cast<const uint32_t*>(low + 8) : 0;
    }
    float out[SIZE / 8][4] = {};
    float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    const float scale2 = scale * LOG2_E;

    int slot = 0;
    for (int key = 0; key < tokens; key += KEYS, slot ^= 1) {
        if (key + KEYS < tokens) {
            fetch(key + KEYS, slot ^ 1);
            wait_for_parcels<1>();
        } else {
            wait_for_parcels<0>();
        }
        __syncthreads();
        if (!idle) {
            float scores[KEYS / 8][4] = {};
#pragma unroll
            for (int column = 0; column < KEYS / 8; column += 2) {
#pragma unroll
                for (int n = 0; n < SIZE / 16; n++) {
                    uint32_t k[4];
                    const int row = column * 8 + lane % 8 + lane / 16 * 8;
                    load_four(k, keys[slot] + row * PITCH + n * 16 + lane / 8 % 2 * 8);
                    multiply(scores[column], q[n][0], q[n][1], q[n][2], q[n][3], k[0], k[1]);
                    multiply(scores[column + 1], q[n][0], q[n][1], q[n][2], q[n][3], k[2], k[3]);
                }
            }
            if (key + KEYS > tokens) {
#pragma unroll
                for (int column = 0; column < KEYS / 8; column++) {
#pragma unroll
                    for (int n = 0; n < 4; n++) {
                        if (key + column * 8 + quarter * 2 + n % 2 >= tokens) scores[column][n] = -INFINITY;
                    }
                }
            }
            float peak[2] = {most[0], most[1]};
#pragma unroll
            for (int column = 0; column < KEYS / 8; column++) {
                peak[0] = fmaxf(peak[0], fmaxf(scores[column][0], scores[column][1]));
                peak[1] = fmaxf(peak[1], fmaxf(scores[column][2], scores[column][3]));
            }
            float zero[2];
#pragma unroll
            for (int n = 0; n < 2; n++) {
                peak[n] = fmaxf(peak[n], __shfl_xor_sync(ALL, peak[n], 1));
                peak[n] = fmaxf(peak[n], __shfl_xor_sync(ALL, peak[n], 2));
                const float shrink = power_of_two((most[n] - peak[n]) * scale2);
                most[n] = peak[n];
                zero[n] = peak[n] * scale2;
                sum[n] *= shrink;
#pragma unroll
                for (int column = 0; column < SIZE / 8; column++) {
                    out[column][2 * n] *= shrink;
                    out[column][2 * n + 1] *= shrink;
                }
            }
#pragma unroll
            for (int column = 0; column < KEYS / 8; column++) {
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    scores[column][n] = power_of_two(fmaf(scores[column][n], scale2, -zero[n / 2]));
                    sum[n / 2] += scores[column][n];
                }
            }
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                const float(&left)[4] = scores[2 * n];
                const float(&right)[4] = scores[2 * n + 1];
                const uint32_t a0 = pair(left[0], left[1]), a1 = pair(left[2], left[3]);
                const uint32_t a2 = pair(right[0], right[1]), a3 = pair(right[2], right[3]);
#pragma unroll
                for (int column = 0; column < SIZE / 16; column++) {
                    uint32_t v[4];
                    load_four_turned(v, values[slot] + (n * 16 + lane % 16) * PITCH + column * 16 + lane / 16 * 8);
                    multiply(out[2 * column], a0, a1, a2, a3, v[0], v[1]);
                    multiply(out[2 * column + 1], a0, a1, a2, a3, v[2], v[3]);
                }
            }
        }
        // The slot is written again with the next round.
        __syncthreads();
    }
#pragma unroll
    for (int n = 0; n < 2; n++) {
        sum[n] += __shfl_xor_sync(ALL, sum[n], 1);
        sum[n] += __shfl_xor_sync(ALL, sum[n], 2);
        sum[n] = 1.0f / sum[n];
    }
    half* to = context + static_cast<size_t>(first) * width + blockIdx.y * SIZE + quarter * 2;
#pragma unroll
    for (int n = 0; n < SIZE / 8; n++) {
        if (upper < tokens) {
            const uint32_t both = pair(out[n][0] * sum[0], out[n][1] * sum[0]);
            *reinterpret_cast<uint32_t*>(to + static_cast<size_t>(upper) * width + n * 8) = both;
        }
        if (lower < tokens) {
            const uint32_t both = pair(out[n][2] * sum[1], out[n][3] * sum[1]);
            *reinterpret_cast<uint32_t*>(to + static_cast<size_t>(lower) * width + n * 8) = both;
        }
    }
}

// Floats in the order of unsigned numbers.
__device__ __forceinline__ uint32_t ordered(float value) {
    const uint32_t bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Queries that one walk over the rows answers, and rows whose best score is kept.
constexpr int TOGETHER = 8;
constexpr int ROWS = 64;
// Numbers that a thread has on their way when a floor is looked for.
constexpr int AT_ONCE = 8;

}  // namespace

// Each token's row of the model's tables, normalised: eight tokens a block of 256.
extern "C" __global__ void look_up(const int* __restrict__ ids, const int* __restrict__ places,
                                   const uint2* __restrict__ words, const uint2* __restrict__ positions,
                                   const float4* __restrict__ gain, const float4* __restrict__ bias, float epsilon,
                                   uint2* __restrict__ states, int tokens, int width) {
    const int token = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (token >= tokens) return;
    const int lane = threadIdx.x % WARP, fours = width / 4;
    const uint2* word = words + static_cast<size_t>(ids[token]) * fours;
    const uint2* position = positions + static_cast<size_t>(places[token]) * fours;
    float4 row[FOURS_MAX];
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) {
        const int at = lane + n * WARP;
        row[n] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (at < fours) {
            const float4 a = widened(word[at]), b = widened(position[at]);
            row[n] = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
        }
    }
    write_normal(row, gain, bias, epsilon, width, states + static_cast<size_t>(token) * fours);
}

// Rows normalised where they lie: eight a block of 256.
extern "C" __global__ void normalise(uint2* __restrict__ states, const float4* __restrict__ gain,
                                     const float4* __restrict__ bias, float epsilon, int tokens, int width) {
    const int token = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (token >= tokens) return;
    const int lane = threadIdx.x % WARP, fours = width / 4;
    uint2* state = states + static_cast<size_t>(token) * fours;
    float4 row[FOURS_MAX];
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) {
        const int at = lane + n * WARP;
        row[n] = at < fours ? widened(state[at]) : float4{0.0f, 0.0f, 0.0f, 0.0f};
    }
    write_normal(row, gain, bias, epsilon, width, state);
}

// By the size of a head and the warps of a block: few for short texts, more for long ones. So many blocks shall fit onto a
// multiprocessor.
#define ATTEND(SIZE, WARPS, BLOCKS)                                                                                   \
    extern "C" __global__ void __launch_bounds__(WARPS * WARP, BLOCKS) attend_##SIZE##_##WARPS(                       \
        const half* projected, half* context, const int* tiles, int width, float scale) {                            \
        attend<SIZE, WARPS>(projected, context, tiles, width, scale);                                                 \
    }
ATTEND(32, 4, 6)
ATTEND(32, 8, 3)
ATTEND(64, 4, 4)
ATTEND(64, 8, 2)

// A text's vector: the mean of its tokens' states (or its first's), of length one. A block of 256 a text, with shared memory
// of eight rows in single precision.
extern "C" __global__ void pool(const uint2* __restrict__ states, const int* __restrict__ starts, int only_first,
                                float* __restrict__ vectors, int width) {
    extern __shared__ float4 sums[];
    __shared__ float squares[8];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP, fours = width / 4;
    const int first = starts[blockIdx.x], last = only_first ? first + 1 : starts[blockIdx.x + 1];
    float4 row[FOURS_MAX];
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) row[n] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 4
    for (int token = first + warp; token < last; token += warps) {
        const uint2* state = states + static_cast<size_t>(token) * fours;
#pragma unroll
        for (int n = 0; n < FOURS_MAX; n++) {
            const int at = lane + n * WARP;
            if (at < fours) {
                const float4 four = widened(state[at]);
                row[n] = {row[n].x + four.x, row[n].y + four.y, row[n].z + four.z, row[n].w + four.w};
            }
        }
    }
#pragma unroll
    for (int n = 0; n < FOURS_MAX; n++) {
        const int at = lane + n * WARP;
        if (at < fours) sums[warp * fours + at] = row[n];
    }
    __syncthreads();
    float square = 0.0f;
    for (int at = threadIdx.x; at < fours; at += blockDim.x) {
        float4 sum = sums[at];
        for (int n = 1; n < warps; n++) {
            const float4 four = sums[n * fours + at];
            sum = {sum.x + four.x, sum.y + four.y, sum.z + four.z, sum.w + four.w};
        }
        // Only this thread reads the column again.
        sums[at] = sum;
        square += sum.x * sum.x + sum.y * sum.y + sum.z * sum.z + sum.w * sum.w;
    }
    square = sum_over_warp(square);
    if (lane == 0) squares[warp] = square;
    __syncthreads();
    float length = 0.0f;
    for (int n = 0; n < warps; n++) length += squares[n];
    const float scale = rsqrtf(length);
    float4* vector = reinterpret_cast<float4*>(vectors) + static_cast<size_t>(blockIdx.x) * fours;
    for (int at = threadIdx.x; at < fours; at += blockDim.x) {
        const float4 sum = sums[at];
        vector[at] = {sum.x * scale, sum.y * scale, sum.z * scale, sum.w * scale};
    }
}

// The products of all rows with TOGETHER queries, and the best of each ROWS of them. A warp takes ROWS rows; width is a
// multiple of 32, rows are stored up to a multiple of ROWS. The order of the columns in a fragment is ours, the same for both
// sides, so that every thread loads sixteen bytes at once. `allowed` has a bit a row, or is null.
extern "C" __global__ void __launch_bounds__(256, 2) scan(
    const half* __restrict__ rows, const half* __restrict__ queries, const uint32_t* __restrict__ allowed,
         float* __restrict__ scores, float* __restrict__ tops, long long count, int width) {
    extern __shared__ __align__(16) half asked[];
    // Two queries lie in different halves of the banks.
    const int pitch = width + (width % 64 == 0 ? 32 : 0);
    for (int n = threadIdx.x; n < TOGETHER * width / 8; n += blockDim.x) {
        const int query = n / (width / 8), column = n % (width / 8) * 8;
        *reinterpret_cast<uint4*>(asked + query * pitch + column) =
            *reinterpret_cast<const uint4*>(queries + query * width + column);
    }
    __syncthreads();
    const int lane = threadIdx.x % WARP, group = lane / 4, quarter = lane % 4;
    const long long blocks = (count + ROWS - 1) / ROWS;
    const long long step = static_cast<long long>(gridDim.x) * (blockDim.x / WARP);
    const half* query = asked + group * pitch + quarter * 8;
    for (long long block = static_cast<long long>(blockIdx.x) * (blockDim.x / WARP) + threadIdx.x / WARP; block < blocks;
         block += step) {
        float best[2] = {-INFINITY, -INFINITY};
        for (int part = 0; part < ROWS / 16; part++) {
            const long long upper = block * ROWS + part * 16 + group, lower = upper + 8;
            const half* up = rows + upper * width + quarter * 8;
            const half* low = rows + lower * width + quarter * 8;
            float sum[4] = {};
// So many loads are on their way at the same time.
#pragma unroll 12
            for (int column = 0; column < width; column += 32) {
                const uint4 a = __ldcs(reinterpret_cast<const uint4*>(up + column));
                const uint4 b = __ldcs(reinterpret_cast<const uint4*>(low + column));
                const uint4 q = *reinterpret_cast<const uint4*>(query + column);
                multiply(sum, a.x, b.x, a.y, b.y, q.x, q.y);
                multiply(sum, a.z, b.z, a.w, b.w, q.z, q.w);
            }
            bool up_there = upper < count, low_there = lower < count;
            if (allowed != nullptr) {
                up_there = up_there && (allowed[upper / 32] >> (upper % 32) & 1);
                low_there = low_there && (allowed[lower / 32] >> (lower % 32) & 1);
            }
            const float2 of_upper = {up_there ? sum[0] : -INFINITY, up_there ? sum[1] : -INFINITY};
            const float2 of_lower = {low_there ? sum[2] : -INFINITY, low_there ? sum[3] : -INFINITY};
            *reinterpret_cast<float2*>(scores + upper * TOGETHER + quarter * 2) = of_upper;
            *reinterpret_cast<float2*>(scores + lower * TOGETHER + quarter * 2) = of_lower;
            best[0] = fmaxf(best[0], fmaxf(of_upper.x, of_lower.x));
            best[1] = fmaxf(best[1], fmaxf(of_upper.y, of_lower.y));
        }
#pragma unroll
        for (int n = 0; n < 2; n++) {
#pragma unroll
            for (int far = 4; far < WARP; far *= 2) best[n] = fmaxf(best[n], __shfl_xor_sync(ALL, best[n], far));
            if (group == 0) tops[(quarter * 2 + n) * blocks + block] = best[n];
        }
    }
}

// The `wanted`-largest of each query's best scores, as an ordered number; 0 where there are fewer. A block of 1,024 a query.
extern "C" __global__ void floor_of(const float* __restrict__ tops, uint32_t* __restrict__ floors, long long blocks,
                                    int wanted) {
    __shared__ uint32_t counts[256];
    __shared__ uint32_t prefix, left;
    const float* own = tops + blockIdx.x * blocks;
    if (threadIdx.x == 0) {
        prefix = 0;
        left = wanted;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) counts[threadIdx.x] = 0;
        __syncthreads();
        const uint32_t known = prefix;
        for (long long first = 0; first < blocks; first += blockDim.x * AT_ONCE) {
            uint32_t keys[AT_ONCE];
#pragma unroll
            for (int n = 0; n < AT_ONCE; n++) {
                const long long at = first + n * blockDim.x + threadIdx.x;
                keys[n] = at < blocks ? ordered(own[at]) : 0;
            }
#pragma unroll
            for (int n = 0; n < AT_ONCE; n++) {
                const bool is_one = first + n * blockDim.x + threadIdx.x < blocks;
                const bool counts_here = is_one && (shift == 24 || keys[n] >> (shift + 8) == known >> (shift + 8));
                // Scores are alike: most of a warp would wait for the same counter, so one thread adds for all.
                const uint32_t digit = counts_here ? keys[n] >> shift & 255 : 256;
                const uint32_t same = __match_any_sync(ALL, digit);
                if (counts_here && __ffs(same) - 1 == threadIdx.x % WARP) atomicAdd(&counts[digit], __popc(same));
            }
        }
        __syncthreads();
        if (threadIdx.x == 0 && left > 0) {
            int digit = 255;
            while (digit > 0 && counts[digit] < left) left -= counts[digit--];
            // Fewer blocks than are wanted: everything counts.
            if (counts[digit] < left) left = 0;
            else prefix |= static_cast<uint32_t>(digit) << shift;
        }
        __syncthreads();
        if (left == 0) break;
    }
    if (threadIdx.x == 0) floors[blockIdx.x] = left == 0 ? 0 : prefix;
}

// Rows above the floor, and some of those on it. `counts` holds two numbers a query and begins with zeros; `found` pairs of an
// ordered score and a row: room for `above` and then for `level` a query.
extern "C" __global__ void collect(const float* __restrict__ scores, const float* __restrict__ tops,
                                   const uint32_t* __restrict__ floors, uint32_t* __restrict__ counts,
                                   uint2* __restrict__ found, long long blocks, int above, int level) {
    const int query = blockIdx.y;
    const uint32_t floor = floors[query], nothing = ordered(-INFINITY);
    const int lane = threadIdx.x % WARP;
    const long long step = static_cast<long long>(gridDim.x) * (blockDim.x / WARP);
    uint2* own = found + static_cast<size_t>(query) * (above + level);
    for (long long block = static_cast<long long>(blockIdx.x) * (blockDim.x / WARP) + threadIdx.x / WARP; block < blocks;
         block += step) {
        const uint32_t top = ordered(tops[query * blocks + block]);
        if (top < floor || top <= nothing) continue;
        for (int n = lane; n < ROWS; n += WARP) {
            const long long row = block * ROWS + n;
            const uint32_t key = ordered(scores[row * TOGETHER + query]);
            if (key <= nothing || key < floor) continue;
            const bool over = key > floor;
            const uint32_t at = atomicAdd(&counts[query * 2 + (over ? 0 : 1)], 1);
            if (at < static_cast<uint32_t>(over ? above : level))
                own[over ? at : above + at] = {key, static_cast<uint32_t>(row)};
        }
    }
}
