// The eight tile registers of AMX, 16 rows of 16 words each, and what this engine does with them. Included inside
// the anonymous namespace of a kernels unit, like vector_impl.h. A unit that defines TILES_EMULATED gets the same
// operations in plain C++, which the tests run on every machine; the arithmetic is that of Intel's manual for
// TDPBF16PS: two sums in float32, one over even and one over odd places, each by fused multiply-adds, then added.
//
// Instructions by `asm` and not by intrinsics: GCC 12's take literals only, and do not tell the compiler that a tile
// load reads memory, so that a store before it may be moved behind it.

constexpr int kTile = 16;             // rows of a tile; words in a row
constexpr size_t kTileWords = 256;

#ifdef TILES_EMULATED

struct Registers {
  uint32_t word[8][kTile][kTile];
  int rows[8];
};
thread_local Registers registers;

inline void tile_configure(int rows) {
  for (int t = 0; t < 8; t++) registers.rows[t] = t < 6 ? rows : kTile;
  __builtin_memset(registers.word, 0, sizeof registers.word);
}
inline void tile_release() {
  for (int& rows : registers.rows) rows = 0;
}
template <int kT>
inline void tile_zero() {
  __builtin_memset(registers.word[kT], 0, sizeof registers.word[kT]);
}
template <int kT>
inline void tile_load(const void* from, size_t stride) {
  tile_zero<kT>();
  for (int r = 0; r < registers.rows[kT]; r++)
    __builtin_memcpy(registers.word[kT][r], static_cast<const char*>(from) + r * stride, sizeof registers.word[kT][r]);
}
template <int kT>
inline void tile_store(void* into, size_t stride) {
  for (int r = 0; r < registers.rows[kT]; r++)
    __builtin_memcpy(static_cast<char*>(into) + r * stride, registers.word[kT][r], sizeof registers.word[kT][r]);
}
inline float float_of(uint32_t word) {
  float x;
  __builtin_memcpy(&x, &word, sizeof x);
  return x;
}
template <int kC, int kA, int kB>
inline void tile_multiply() {
  for (int m = 0; m < registers.rows[kC]; m++) {
    float even[kTile]{}, odd[kTile]{};
    for (int k = 0; k < kTile; k++) {
      const uint32_t a = registers.word[kA][m][k];
      for (int n = 0; n < kTile; n++) {
        const uint32_t b = registers.word[kB][k][n];
        // fused or not is the same: the product of two bfloat16 has 16 bits
        even[n] += float_of(a << 16) * float_of(b << 16);
        odd[n] += float_of(a & 0xffff0000u) * float_of(b & 0xffff0000u);
      }
    }
    for (int n = 0; n < kTile; n++) {
      const float sum = float_of(registers.word[kC][m][n]) + (even[n] + odd[n]);
      __builtin_memcpy(&registers.word[kC][m][n], &sum, sizeof sum);
    }
  }
}

#else

// Tiles 0-3 are sums and 4-5 left factors, of `rows` rows; 6-7 are right factors.
inline void tile_configure(int rows) {
  struct alignas(64) {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } wanted{};
  wanted.palette = 1;
  for (int t = 0; t < 8; t++) {
    wanted.row_bytes[t] = 4 * kTile;
    wanted.rows[t] = static_cast<uint8_t>(t < 6 ? rows : kTile);
  }
  asm volatile("ldtilecfg %0" : : "m"(wanted));
}
// Without it every change of threads would save and load 8 KB.
inline void tile_release() { asm volatile("tilerelease"); }
template <int kT>
INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kT));
}
template <int kT>
INLINE void tile_load(const void* from, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kT) : "memory");
}
template <int kT>
INLINE void tile_store(void* into, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(into), "r"(stride), "i"(kT) : "memory");
}
template <int kC, int kA, int kB>
INLINE void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
}

#endif
