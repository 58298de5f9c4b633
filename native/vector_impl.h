// Vectors of LANES floats by the compilers' vector extension, and the elementary functions on them.
// Included once by each kernels_<isa>.cc, inside its own anonymous namespace; see kernels.h for why.
//
// Accuracy (checked against double precision by the tests): sine 2 ULP or 1e-7 absolute, exponential 2 ULP,
// tanh and sigmoid 4 ULP. Polynomials: minimax fits (Remez exchange, relative error; cosine: absolute), their own
// error stated beside them, all below half an ULP of float32 (6e-8).

typedef float vf __attribute__((vector_size(LANES * 4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4), may_alias));
typedef uint32_t vu __attribute__((vector_size(LANES * 4), may_alias));
typedef uint8_t vb __attribute__((vector_size(LANES), may_alias));
typedef uint16_t vh __attribute__((vector_size(LANES * 2), may_alias));
typedef uint16_t vh2 __attribute__((vector_size(LANES * 4), may_alias));
#define INLINE inline __attribute__((always_inline))

INLINE vf load(const float* p) { return *reinterpret_cast<const vf*>(p); }
INLINE void store(float* p, vf v) { *reinterpret_cast<vf*>(p) = v; }
INLINE vf spread(float x) { return x - vf{}; }
INLINE vi bits(vf x) { return reinterpret_cast<vi>(x); }
INLINE vf from_bits(vi x) { return reinterpret_cast<vf>(x); }
INLINE vf absolute(vf x) { return from_bits(bits(x) & 0x7fffffff); }
INLINE vf greater_of(vf a, vf b) { return a > b ? a : b; }
INLINE vf root(vf x) {
  vf r;
  for (int i = 0; i < LANES; i++) r[i] = __builtin_sqrtf(x[i]);  // becomes one vector instruction
  return r;
}
INLINE float total(vf x) {  // pairwise, so the order of the sum is the same on every compiler
  float part[LANES];
  __builtin_memcpy(part, &x, sizeof part);
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}
INLINE float largest(vf x) {
  float most = x[0];
  for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
  return most;
}

constexpr float kMagic = 12582912.f;  // 1.5 * 2^23: adding it rounds a float to an integer kept in its low bits
// Beyond this phase k * pi (in three parts) is no longer exact to a float32's last place, and finish functions
// take the C library's scalar sine for the whole block.
constexpr float kFarPhase = 20000.f;

// sin(x) and cos(x) for |x| <= kFarPhase: x = k pi + r, |r| <= pi/2; both change sign with odd k.
INLINE void sine_cosine(vf x, vf& sine, vf& cosine) {
  const vf shifted = x * 0.318309886183790672f + kMagic;
  const vi odd = bits(shifted) << 31;
  const vf k = shifted - kMagic;
  // pi in parts of 8, 11 and 24 bits: k times the first two is exact for |k| < 2^13 even without FMA
  const vf r = ((x - k * 3.140625f) - k * 9.67502593994140625e-4f) - k * 1.509957990978376432e-7f;
  const vf u = r * r;
  const vf s = ((2.60559024e-06f * u - 0.000198095215f) * u + 0.00833306521f) * u - 0.166666595f;  // 6e-9
  sine = from_bits(bits(s * u * r + r) ^ odd);
  const vf c = ((-2.61921203e-07f * u + 2.47692233e-05f) * u - 0.0013888568f) * u + 0.0416666557f;  // 4e-10
  cosine = from_bits(bits((c * u - 0.5f) * u + 1.f) ^ odd);
}

// e^x; 0 below -87.3 (no denormals), and the largest finite power above 88.
INLINE vf exponential(vf x) {
  const vf low = x < -87.3f ? spread(-87.3f) : x;
  const vf y = low > 88.f ? spread(88.f) : low;
  const vf shifted = y * 1.44269504088896341f + kMagic;
  const vf n = shifted - kMagic;
  const vf r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
  const vf p =
      (((0.0013814191f * r + 0.00836891369f) * r + 0.0416684072f) * r + 0.16666519f) * r + 0.499999933f;  // 3e-9
  const vf mantissa = p * r * r + r + 1.f;
  const vf result = from_bits(bits(mantissa) + (bits(shifted) << 23));
  return x < -87.3f ? vf{} : result;
}

INLINE vf logistic(vf x) { return 1.f / (1.f + exponential(-x)); }

INLINE vf hyperbolic_tangent(vf x) {
  const vf size = absolute(x);
  // small arguments: odd polynomial (Cephes tanhf), since 1 - 2 / (e^2x + 1) would cancel
  const vf u = x * x;
  const vf p = (((-5.70498872745e-3f * u + 2.06390887954e-2f) * u - 5.37397155531e-2f) * u + 1.33314422036e-1f) * u -
               3.33332819422e-1f;
  const vf small = p * u * x + x;
  const vf large = 1.f - 2.f / (exponential(size + size) + 1.f);
  const vf signed_large = from_bits(bits(large) | (bits(x) & int32_t(0x80000000)));
  return size < 0.625f ? small : signed_large;
}

// ------------------------------------------------------------------------------------------------- bfloat16
// Rounded to nearest, ties to even, as the processor does; a NaN stays one (but for odd payloads nobody makes).
INLINE vf from_half(vh x) { return reinterpret_cast<vf>(__builtin_convertvector(x, vu) << 16); }
#if HALF_IS_FAST
INLINE vh to_half(vf x) { return reinterpret_cast<vh>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(x))); }
INLINE vh2 to_halves(vf low, vf high) {  // one after the other
  return reinterpret_cast<vh2>(_mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(high), reinterpret_cast<__m512>(low)));
}
INLINE vu to_pairs(vf even, vf odd) {  // word i = (even[i], odd[i])
  const __m512i both = reinterpret_cast<__m512i>(
      _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(odd), reinterpret_cast<__m512>(even)));
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return reinterpret_cast<vu>(_mm512_permutexvar_epi16(order, both));
}
INLINE vf add_dots(vf sum, vu a, vu b) {
  return reinterpret_cast<vf>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a),
                                               reinterpret_cast<__m512bh>(b)));
}
#else
INLINE vu rounded(vf x) {  // the bfloat16 in the upper half of each word
  const vu u = reinterpret_cast<vu>(x);
  return u + 0x7fffu + ((u >> 16) & 1u);
}
INLINE vh to_half(vf x) { return __builtin_convertvector(rounded(x) >> 16, vh); }
INLINE vh2 to_halves(vf low, vf high) {
  const vh parts[2] = {to_half(low), to_half(high)};
  vh2 both;
  __builtin_memcpy(&both, parts, sizeof both);
  return both;
}
INLINE vu to_pairs(vf even, vf odd) { return (rounded(even) >> 16) | (rounded(odd) & 0xffff0000u); }
INLINE vf add_dots(vf sum, vu a, vu b) {
  const vf low = reinterpret_cast<vf>(a << 16) * reinterpret_cast<vf>(b << 16);
  return sum + (low + reinterpret_cast<vf>(a & 0xffff0000u) * reinterpret_cast<vf>(b & 0xffff0000u));
}
#endif
