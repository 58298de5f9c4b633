// The Walsh-Hadamard transform of rows of n = 2^k floats. Included by kernels_impl.h (see kernels.h).
//
// H is a product of k stages: the stage of s replaces numbers a and b that lie s apart by a + b and a - b. All units
// take the stages in one order, s = 1, 2, 4 ... n / 2, and so give the same bits. What costs is memory: a first pass does
// every stage within a vector and among kFirst vectors while they are in registers, later passes two to four stages
// each; a row larger than L1 is done part by part, depth first, so that its last pass alone leaves a cache, whatever
// the size of the caches is.

constexpr int kFirst = LANES == 16 ? 16 : 8;  // vectors that fit into the registers: 32 in AVX-512, else 16
constexpr int kLog2Lanes = LANES == 16 ? 4 : LANES == 8 ? 3 : 2;
constexpr size_t kNearRow = 4096;  // floats of a part that stays in L1, of which it takes a half or less
// Beyond, parts lie 16 KB or more apart, so that the same line of each falls into one set of a cache, which keeps 8 of
// them: with 16 parts a row of 65,536 took 1.3 times as long (Zen 4).
constexpr size_t kFarParts = 8;

// Lane i becomes lane i ^ s.
template <int s>
INLINE vf exchanged(vf v) {
#if LANES == 16
  return __builtin_shufflevector(v, v, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s, 8 ^ s, 9 ^ s, 10 ^ s, 11 ^ s,
                                 12 ^ s, 13 ^ s, 14 ^ s, 15 ^ s);
#elif LANES == 8
  return __builtin_shufflevector(v, v, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s);
#else
  return __builtin_shufflevector(v, v, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s);
#endif
}

// The first kStages stages, all within a vector. A product with 1 or -1 is exact, so a fused multiply-add is one sum.
template <int kStages, int s = 1>
INLINE vf within(vf v) {
  if constexpr (kStages == 0) {
    return v;
  } else {
    vf sign;
    for (int i = 0; i < LANES; i++) sign[i] = i & s ? -1.f : 1.f;
    return within<kStages - 1, 2 * s>(v * sign + exchanged<s>(v));
  }
}

// The stages among kCount vectors.
template <int kCount>
INLINE void among(vf* v) {
  if constexpr (kCount > 1) {
    constexpr int kHalf = kCount / 2;
    among<kHalf>(v);
    among<kHalf>(v + kHalf);
#pragma GCC unroll 16
    for (int i = 0; i < kHalf; i++) {
      const vf sum = v[i] + v[i + kHalf];
      v[i + kHalf] = v[i] - v[i + kHalf];
      v[i] = sum;
    }
  }
}

template <int kVectors, int kStages = kLog2Lanes>
void first_pass(const float* from, float* into, size_t count, float scale) {
  for (size_t at = 0; at < count; at += kVectors * LANES) {
    vf v[kVectors];
#pragma GCC unroll 16
    for (int k = 0; k < kVectors; k++) v[k] = within<kStages>(load_anywhere(from + at + k * LANES) * scale);
    among<kVectors>(v);
#pragma GCC unroll 16
    for (int k = 0; k < kVectors; k++) store_anywhere(into + at + k * LANES, v[k]);
  }
}

// The last stages of a row: those among its kParts parts.
template <int kParts>
void last_pass(float* values, size_t part) {
  for (size_t at = 0; at < part; at += LANES) {
    vf v[kParts];
#pragma GCC unroll 16
    for (int k = 0; k < kParts; k++) v[k] = load_anywhere(values + at + k * part);
    among<kParts>(v);
#pragma GCC unroll 16
    for (int k = 0; k < kParts; k++) store_anywhere(values + at + k * part, v[k]);
  }
}

// A row of kFirst vectors or more.
void transform(const float* from, float* into, size_t n, float scale) {
  if (n <= kFirst * LANES) return first_pass<kFirst>(from, into, n, scale);
  const bool near = n <= kNearRow;
  const size_t fit = n / (near ? kFirst * LANES : kNearRow), most = near ? kFirst : kFarParts;
  const size_t parts = fit < most ? fit : most;
  const size_t part = n / parts;
  for (size_t low = 0; low < n; low += part) transform(from + low, into + low, part, scale);
  switch (parts) {
    case 2: return last_pass<2>(into, part);
    case 4: return last_pass<4>(into, part);
    case 8: return last_pass<8>(into, part);
    default: return last_pass<kFirst>(into, part);
  }
}

// Rows no longer than a vector, some of them side by side in one; the last vector may not be full.
template <int kStages>
void short_rows(const float* from, float* into, size_t count, float scale) {
  const size_t whole = count / LANES * LANES, rest = (count - whole) * sizeof(float);
  first_pass<1, kStages>(from, into, whole, scale);
  float last[LANES] = {};
  __builtin_memcpy(last, from + whole, rest);
  first_pass<1, kStages>(last, last, LANES, scale);
  __builtin_memcpy(into + whole, last, rest);
}

void hadamard(const float* from, float* into, size_t rows, size_t n, float scale) {
  const size_t count = rows * n;
  switch (n) {
    case 1: return short_rows<0>(from, into, count, scale);
    case 2: return short_rows<1>(from, into, count, scale);
    case 4: return short_rows<2>(from, into, count, scale);
#if LANES > 4
    case 8: return short_rows<3>(from, into, count, scale);
#endif
  }
  switch (n / LANES) {
    case 1: return first_pass<1>(from, into, count, scale);
    case 2: return first_pass<2>(from, into, count, scale);
    case 4: return first_pass<4>(from, into, count, scale);
    case 8: return first_pass<8>(from, into, count, scale);
  }
  for (size_t row = 0; row < count; row += n) transform(from + row, into + row, n, scale);
}
