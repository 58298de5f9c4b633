// Which units of a layer fire anywhere in a chunk of rows, and moving their columns together and apart. Included by
// kernels_impl.h inside its anonymous namespace.
//
// Vectors of 8 or 16 are squeezed and stretched by one permutation each; the plain unit goes column by column.

#if LANES == 8 && defined(__AVX2__)

// For each mask of 8 bits: where its set bits lie, one after the other (squeeze), and for each lane how many lie
// before it (stretch).
struct Places {
  uint8_t squeeze[256][8], stretch[256][8];
};
constexpr Places places() {
  Places p{};
  for (int mask = 0; mask < 256; mask++)
    for (int lane = 0, before = 0; lane < 8; lane++) {
      p.stretch[mask][lane] = static_cast<uint8_t>(before);
      if (mask >> lane & 1) p.squeeze[mask][before++] = static_cast<uint8_t>(lane);
    }
  return p;
}
alignas(64) constexpr Places kPlaces = places();

INLINE __m256i widened(const uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
INLINE uint32_t mask_at(const uint8_t* masks, int n) { return masks[n / 8]; }
INLINE uint32_t nonzero(vu x) {
  const vi is = reinterpret_cast<vi>(x != 0u);
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(is)));
}
INLINE vf squeezed(vf x, uint32_t mask) {
  return reinterpret_cast<vf>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(x), widened(kPlaces.squeeze[mask])));
}
INLINE vf stretched(vf x, uint32_t mask) {
  const vi lane_bits{1, 2, 4, 8, 16, 32, 64, 128};
  const vi wanted = (static_cast<int32_t>(mask) & lane_bits) != 0;
  const vf all =
      reinterpret_cast<vf>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(x), widened(kPlaces.stretch[mask])));
  return wanted ? all : vf{};
}
#define SQUEEZES 1

#elif LANES == 16 && defined(__AVX512F__)

INLINE uint32_t mask_at(const uint8_t* masks, int n) {
  uint16_t mask;
  __builtin_memcpy(&mask, masks + n / 8, sizeof mask);
  return mask;
}
INLINE uint32_t nonzero(vu x) {
  return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(x));
}
// In registers: as stores they are slow on some processors
INLINE vf squeezed(vf x, uint32_t mask) {
  return reinterpret_cast<vf>(_mm512_maskz_compress_ps(static_cast<__mmask16>(mask), reinterpret_cast<__m512>(x)));
}
INLINE vf stretched(vf x, uint32_t mask) {
  return reinterpret_cast<vf>(_mm512_maskz_expand_ps(static_cast<__mmask16>(mask), reinterpret_cast<__m512>(x)));
}
#define SQUEEZES 1

#else
#define SQUEEZES 0
#endif

typedef float vf_anywhere __attribute__((vector_size(LANES * 4), may_alias, aligned(4)));
typedef int32_t vi_anywhere __attribute__((vector_size(LANES * 4), may_alias, aligned(4)));
INLINE vf load_anywhere(const float* p) { return *reinterpret_cast<const vf_anywhere*>(p); }
INLINE void store_anywhere(float* p, vf v) { *reinterpret_cast<vf_anywhere*>(p) = v; }

// The numbers from `first` on of the lanes that hold a bit, to `list`; room for a whole vector.
INLINE int append(vu bits, int first, int32_t* list) {
#if SQUEEZES
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  const uint32_t mask = nonzero(bits);
  const vf numbers = squeezed(reinterpret_cast<vf>(lane + first), mask);
  *reinterpret_cast<vi_anywhere*>(list) = reinterpret_cast<vi>(numbers);
  return __builtin_popcount(mask);
#else
  int count = 0;
  for (int i = 0; i < LANES; i++) {
    list[count] = first + i;
    count += bits[i] != 0;
  }
  return count;
#endif
}

int find_columns(const uint32_t* fired, int columns, int32_t* index, uint8_t* masks) {
  int count = 0;
  for (int n = 0; n < columns; n += LANES) count += append(*reinterpret_cast<const vu*>(fired + n), n, index + count);
  __builtin_memset(masks, 0, static_cast<size_t>(columns) / 8);
  for (int i = 0; i < count; i++) masks[index[i] / 8] |= static_cast<uint8_t>(1 << index[i] % 8);
  return count;
}

void list_columns(const float* from, size_t stride, int rows, int columns, int32_t* lists, size_t list_row,
                  int32_t* lengths) {
  for (int m = 0; m < rows; m += BLOCK_ROWS, from += BLOCK_ROWS * stride, lists += list_row) {
    int count = 0;
    for (int n = 0; n < columns; n += LANES) {
      vu any{};
#pragma GCC unroll 8
      for (int r = 0; r < BLOCK_ROWS; r++) any |= *reinterpret_cast<const vu*>(from + r * stride + n);
      count += append(any, n, lists + count);
    }
    *lengths++ = count;
  }
}

// Rows that are picked from a matrix beyond L2 lie where no processor foresees them.
constexpr int kAhead = 2;
template <int kWrite>
INLINE void fetch(const float* row, int columns) {
  for (int n = 0; n < columns; n += kLine) __builtin_prefetch(row + n, kWrite);
}

void take_columns(const float* from, size_t stride, const int32_t* from_rows, int rows, const Columns& columns,
                  float* into, size_t into_row) {
  const int end = columns.count ? columns.index[columns.count - 1] + 1 : 0;
  for (int r = 0; r < rows; r++, into += into_row) {
    const float* row = from + (from_rows ? static_cast<size_t>(from_rows[r]) : static_cast<size_t>(r)) * stride;
    if (from_rows && r + kAhead < rows) fetch<0>(from + static_cast<size_t>(from_rows[r + kAhead]) * stride, end);
#if SQUEEZES
    float* to = into;
    for (int n = 0; n < end; n += LANES) {
      const uint32_t mask = mask_at(columns.masks, n);
      store_anywhere(to, squeezed(load(row + n), mask));
      to += __builtin_popcount(mask);
    }
#else
    for (int i = 0; i < columns.count; i++) into[i] = row[columns.index[i]];
#endif
    __builtin_memset(into + columns.count, 0, kLine * sizeof(float));
  }
}

void add_columns(const float* from, size_t stride, int rows, const Columns& columns, const int32_t* into_rows,
                 float* into, size_t into_row) {
  const int end = !columns.masks ? columns.count : columns.count ? columns.index[columns.count - 1] + 1 : 0;
  for (int r = 0; r < rows; r++, from += stride) {
    float* row = into + (into_rows ? static_cast<size_t>(into_rows[r]) : static_cast<size_t>(r)) * into_row;
    if (into_rows && r + kAhead < rows) fetch<1>(into + static_cast<size_t>(into_rows[r + kAhead]) * into_row, end);
    if (!columns.masks) {
      for (int n = 0; n < columns.count; n += LANES) store(row + n, load(row + n) + load(from + n));
      continue;
    }
#if SQUEEZES
    const float* at = from;
    for (int n = 0; n < end; n += LANES) {
      const uint32_t mask = mask_at(columns.masks, n);
      store(row + n, load(row + n) + stretched(load_anywhere(at), mask));
      at += __builtin_popcount(mask);
    }
#else
    for (int i = 0; i < columns.count; i++) row[columns.index[i]] += from[i];
#endif
  }
}
