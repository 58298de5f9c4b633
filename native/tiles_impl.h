// `multiply_half` by tiles of AMX. Included by kernels_impl.h in units that define TILES.
//
// One TDPBF16PS takes a left tile of 16 rows x 16 words (rows16 as they lie in memory), a right tile of 16 words x 16
// columns (pairs), and adds their 8,192 products to 16 x 16 sums in 16 cycles. A block of 2 x 2 sums needs four tile
// loads for four products, and fewer would starve the multiplier. So:
//   - the right factor's 32 columns at hand are laid out as whole tiles, 20 KB for a depth of 300, which stay in L1
//     while the left factor streams by from L2; its last words are filled up with zeros;
//   - in gradients k runs down the samples: the left factor is turned once a product (64 shuffles a tile, used for
//     all columns), the right one only paired up (two shuffles a line);
//   - a finished block is stored to 4 KB of scratch, and its activation, sums and packing are done in slices between
//     the products of the next block: the vector units work while the tiles are busy;
//   - an odd column of tiles is taken four blocks high, since two sums cannot cover a product's latency of 52 cycles.
// Figures of speed in this file are those of a prototype on a Xeon with 2 MB of L2 a core: this code itself has run on
// an emulated processor only, which tells whether it is right, not how fast it is.

namespace tiles {

#include "tiles.h"

static_assert(LANES == kTile, "a row of a tile is one vector");

constexpr int kDeepest = 8;  // tiles of depth that gradients take at a time: 16 KB of the right factor (twice as much lost 15 %)

constexpr int up(int n, int to) { return (n + to - 1) / to * to; }

thread_local Scratch left_scratch, right_scratch;

INLINE vu load_words(const Word* p) { return *reinterpret_cast<const vu*>(p); }
INLINE void store_words(Word* p, vu v) { *reinterpret_cast<vu*>(p) = v; }

// Words i of both: (x[i], y[i]), of columns 0-15 or 16-31.
INLINE vu low_pairs(vh2 x, vh2 y) {
  return reinterpret_cast<vu>(__builtin_shufflevector(x, y, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8,
                                                      40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47));
}
INLINE vu high_pairs(vh2 x, vh2 y) {
  return reinterpret_cast<vu>(__builtin_shufflevector(x, y, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23,
                                                      55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31,
                                                      63));
}

// Word j of row i becomes word i of row j: quarters of rows are exchanged in four steps of 16 shuffles.
template <int kStep>
INLINE vu interleave(vu x, vu y, bool high) {
  // kStep neighbours from x, then as many from y
  if constexpr (kStep == 1)
    return high ? __builtin_shufflevector(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
                : __builtin_shufflevector(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
  else if constexpr (kStep == 2)
    return high ? __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
                : __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  else if constexpr (kStep == 4)
    return high ? __builtin_shufflevector(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
                : __builtin_shufflevector(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
  else
    return high ? __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
                : __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}
template <int kStep>
INLINE void exchange(vu (&row)[kTile]) {
#pragma GCC unroll 16
  for (int i = 0; i < kTile; i++)
    if (!(i & kStep)) {
      const vu x = row[i], y = row[i + kStep];
      row[i] = interleave<kStep>(x, y, false), row[i + kStep] = interleave<kStep>(x, y, true);
    }
}
INLINE void turn(vu (&row)[kTile]) { exchange<1>(row), exchange<2>(row), exchange<4>(row), exchange<8>(row); }

// ------------------------------------------------------------------------------------------------ laying out
// One or two columns of tiles of b from column n on, words [k0, k0 + depth) of its depth: tile k of column j at
// panel + (j * steps + k) * kTileWords.
template <bool kTwo>
void lay_right(const Product& p, int n, int k0, int depth, int steps, Word* panel) {
  Word* second = panel + steps * kTileWords;
  if (p.samples_down) {
    const uint16_t* from = reinterpret_cast<const uint16_t*>(p.b) + 2 * k0 * p.b_row + n;
    for (int k = 0; k < depth; k++, from += 2 * p.b_row) {
      const vh2 even = *reinterpret_cast<const vh2*>(from), odd = *reinterpret_cast<const vh2*>(from + p.b_row);
      store_words(panel + k * kTile, low_pairs(even, odd));
      if (kTwo) store_words(second + k * kTile, high_pairs(even, odd));
    }
  } else if (p.b_floats) {
    for (int k = 0; k < depth; k++) {
      store_words(panel + k * kTile, paired(p, k0 + k, n));
      if (kTwo) store_words(second + k * kTile, paired(p, k0 + k, n + kTile));
    }
  } else {
    const Word* from = reinterpret_cast<const Word*>(p.b) + k0 * p.b_row + n;
    for (int k = 0; k < depth; k++, from += p.b_row) {
      store_words(panel + k * kTile, load_words(from));
      if (kTwo) store_words(second + k * kTile, load_words(from + kTile));
    }
  }
  for (int k = depth; k < steps * kTile; k++) {
    store_words(panel + k * kTile, vu{});
    if (kTwo) store_words(second + k * kTile, vu{});
  }
}

// Words [k0, k0 + depth) of a, which runs down its columns, as rows of steps * kTile words.
void turn_left(const Product& p, int k0, int depth, int steps, Word* into) {
  const size_t stride = static_cast<size_t>(steps) * kTile;
  for (int m = 0; m < p.rows; m += 2 * kTile)
    for (int k = 0; k < steps; k++) {
      vu low[kTile]{}, high[kTile]{};
      const int count = depth - k * kTile < kTile ? depth - k * kTile : kTile;
      for (int i = 0; i < count; i++) {
        const size_t at = k0 + k * kTile + i;
        if (p.samples_down) {
          const uint16_t* even = reinterpret_cast<const uint16_t*>(p.a) + 2 * at * p.a_step + m;
          const vh2 x = *reinterpret_cast<const vh2*>(even), y = *reinterpret_cast<const vh2*>(even + p.a_step);
          low[i] = low_pairs(x, y), high[i] = high_pairs(x, y);
        } else {  // a starts at any row of eight, and its last row may be the last of its memory
          const Word* from = reinterpret_cast<const Word*>(p.a) + at * p.a_step + m;
          const int left = p.rows - m;
          __builtin_memcpy(&low[i], from, sizeof(Word) * (left < kTile ? left : kTile));
          if (left > kTile) __builtin_memcpy(&high[i], from + kTile, sizeof(Word) * (left < 2 * kTile ? left - kTile : kTile));
        }
      }
      turn(low);
      for (int i = 0; i < kTile; i++) store_words(into + (m + i) * stride + k * kTile, low[i]);
      if (m + kTile >= p.rows) continue;
      turn(high);
      for (int i = 0; i < kTile; i++) store_words(into + (m + kTile + i) * stride + k * kTile, high[i]);
    }
}

// The last, incomplete tile of each row of a, filled up with zeros: rows of kTile words. Rows are whole cache lines.
void lay_tails(const Product& p, int whole, Word* into) {
  const Word* from = reinterpret_cast<const Word*>(p.a) + whole * kTile;
  const vu place{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const vi inside = place < static_cast<uint32_t>(p.depth - whole * kTile);
  for (int m = 0; m < p.rows; m++) store_words(into + m * kTile, inside ? load_words(from + m * p.a_row) : vu{});
}

// --------------------------------------------------------------------------------------------------- blocks
struct Left {
  const Word* rows;  // [row][stride]: whole tiles of depth
  size_t stride;     // words
  int whole;
  const Word* tails;  // one more tile, [row][kTile]; null: none
};

// Rectified units, the most common, in one pass over 32 columns; all else goes by finish_block.
enum class Ending { plain, relu, relu_backward };

Ending ending_of(const Product& p) {
  if (p.keep || p.pairs) return Ending::plain;
  if (p.finish == &finish_forward<Relu, false> && p.rows16 && !p.c && !p.sums) return Ending::relu;
  if (p.finish == &backward_relu<Packed> && p.sums) return Ending::relu_backward;
  return Ending::plain;
}

void end_relu(const Product& p, int row, int column, const float* values, size_t stride, int rows) {
  uint16_t* into = p.rows16 + row * p.rows16_row + column;
  for (int r = 0; r < rows; r++, values += stride, into += p.rows16_row)
    *reinterpret_cast<vh2*>(into) =
        to_halves(Relu::at(load(values), 0).value, Relu::at(load(values + kTile), 0).value);
}

void end_relu_backward(const Product& p, int row, int column, float* values, size_t stride, int rows) {
  typedef int16_t signs __attribute__((vector_size(2 * LANES), may_alias));
  const uint16_t* outputs = p.slopes16 + row * p.slopes_row + column;
  uint16_t* into = p.rows16 ? p.rows16 + row * p.rows16_row + column : nullptr;
  vf low_sum = load(p.sums + column), high_sum = load(p.sums + column + kTile);
  for (int r = 0; r < rows; r++, values += stride, outputs += p.slopes_row) {
    const vi low_on = __builtin_convertvector(*reinterpret_cast<const signs*>(outputs), vi) > 0;
    const vi high_on = __builtin_convertvector(*reinterpret_cast<const signs*>(outputs + kTile), vi) > 0;
    const vf low = low_on ? load(values) : vf{}, high = high_on ? load(values + kTile) : vf{};
    low_sum += low, high_sum += high;
    if (p.c) store(values, low), store(values + kTile, high);
    if (into) *reinterpret_cast<vh2*>(into) = to_halves(low, high), into += p.rows16_row;
  }
  store(p.sums + column, low_sum), store(p.sums + column + kTile, high_sum);
}

// A finished block on its way through activation, sums and packing.
struct Pending {
  float* values = nullptr;
  size_t stride = 0;
  int row = 0, column = 0, rows = 0, columns = 0;

  INLINE void some(const Product& p, Ending ending, int count) {
    if (!rows) return;
    const int now = count < rows ? count : rows;
    if (ending == Ending::plain || columns != 2 * kTile) finish_block(p, row, column, values, stride, now, columns);
    else if (ending == Ending::relu) end_relu(p, row, column, values, stride, now);
    else end_relu_backward(p, row, column, values, stride, now);
    values += now * stride, row += now, rows -= now;
  }
};

struct Job {
  const Product& p;
  Left left;
  const Word* right;
  int steps;        // tiles of depth
  bool accumulate;  // start from C
  bool finishes;    // something is done with finished blocks
  Ending ending;    // and this is it
  Pending pending;
  float* scratch;   // where a block waits that has no place in C
};

template <int kT, int kRowTiles, int kColumnTiles>
INLINE void start(const Job& job, const float* c, int n) {
  constexpr int i = kT / kColumnTiles, j = kT % kColumnTiles;
  if constexpr (i < kRowTiles) {
    if (job.accumulate) tile_load<kT>(c + i * kTile * job.p.c_row + j * kTile, job.p.c_row * sizeof(float));
    else if (job.p.bias) tile_load<kT>(job.p.bias + n + j * kTile, 0);  // the same row sixteen times
    else tile_zero<kT>();
  }
}
template <int kT, int kRowTiles, int kColumnTiles>
INLINE void put(float* c, size_t stride) {
  constexpr int i = kT / kColumnTiles, j = kT % kColumnTiles;
  if constexpr (i < kRowTiles) tile_store<kT>(c + i * kTile * stride + j * kTile, stride * sizeof(float));
}

// One tile of depth: a at its first row, `stride` bytes between rows, `apart` words between its tiles.
template <int kRowTiles, int kColumnTiles>
INLINE void step(const Word* a, size_t stride, size_t apart, const Word* b, size_t b_apart) {
  tile_load<4>(a, stride);
  tile_load<6>(b, 4 * kTile);
  tile_multiply<0, 4, 6>();
  if constexpr (kColumnTiles == 2) {
    tile_load<7>(b + b_apart, 4 * kTile);
    tile_multiply<1, 4, 7>();
    if constexpr (kRowTiles == 2) {
      tile_load<5>(a + apart, stride);
      tile_multiply<2, 5, 6>();
      tile_multiply<3, 5, 7>();
    }
  } else {
    if constexpr (kRowTiles > 1) tile_load<5>(a + apart, stride), tile_multiply<1, 5, 6>();
    if constexpr (kRowTiles > 2) tile_load<4>(a + 2 * apart, stride), tile_multiply<2, 4, 6>();
    if constexpr (kRowTiles > 3) tile_load<5>(a + 3 * apart, stride), tile_multiply<3, 5, 6>();
  }
}

template <int kRowTiles, int kColumnTiles>
void block(Job& job, int m, int n, int rows) {
  const Product& p = job.p;
  float* c = p.c ? p.c + m * p.c_row + n : job.scratch;
  const size_t stride = p.c ? p.c_row : kColumnTiles * kTile;
  start<0, kRowTiles, kColumnTiles>(job, c, n), start<1, kRowTiles, kColumnTiles>(job, c, n);
  start<2, kRowTiles, kColumnTiles>(job, c, n), start<3, kRowTiles, kColumnTiles>(job, c, n);
  const Left& left = job.left;
  const Word* a = left.rows + m * left.stride;
  const int slice = up((job.pending.rows + job.steps - 1) / job.steps, 2);
  // the next block's sums are fetched while this one's products run (12 % of a gradient's time)
  const float* next = job.accumulate && !job.finishes ? c + kRowTiles * kTile * stride : nullptr;
  const int fetch = (kRowTiles * kTile + job.steps - 1) / job.steps;
  for (int k = 0; k < left.whole; k++) {
    step<kRowTiles, kColumnTiles>(a + k * kTile, left.stride * sizeof(Word), kTile * left.stride,
                                  job.right + k * kTileWords, job.steps * kTileWords);
    job.pending.some(p, job.ending, slice);
    if (next)
      for (int r = k * fetch; r < (k + 1) * fetch; r++) {
        __builtin_prefetch(next + r * stride);
        if (kColumnTiles == 2) __builtin_prefetch(next + r * stride + kTile);
      }
  }
  if (left.tails) {
    step<kRowTiles, kColumnTiles>(left.tails + m * kTile, 4 * kTile, kTileWords, job.right + left.whole * kTileWords,
                                  job.steps * kTileWords);
    job.pending.some(p, job.ending, slice);
  }
  job.pending.some(p, job.ending, job.pending.rows);  // it may lie where this block goes
  put<0, kRowTiles, kColumnTiles>(c, stride), put<1, kRowTiles, kColumnTiles>(c, stride);
  put<2, kRowTiles, kColumnTiles>(c, stride), put<3, kRowTiles, kColumnTiles>(c, stride);
  if (job.finishes) job.pending = {c, stride, m, n, rows, kColumnTiles * kTile};
}

// All rows of the columns at hand. A last tile of eight rows (rows come in eights) needs tiles of that height.
template <int kColumnTiles>
void column(Job& job, int n) {
  const int rows = job.p.rows;
  int m = 0;
  if constexpr (kColumnTiles == 1)
    for (; m + 4 * kTile <= rows; m += 4 * kTile) block<4, 1>(job, m, n, 4 * kTile);
  for (; m + 2 * kTile <= rows; m += 2 * kTile) block<2, kColumnTiles>(job, m, n, 2 * kTile);
  for (; m + kTile <= rows; m += kTile) block<1, kColumnTiles>(job, m, n, kTile);
  if (m == rows) return;
  tile_configure(rows - m);
  block<1, kColumnTiles>(job, m, n, rows - m);
  tile_configure(kTile);
}

void multiply(const Product& p) {
  if (!p.rows || !p.columns) return;
  if (!p.depth) return sfumato::multiply<Half>(p);  // what sums start from, and what is done with it
  alignas(64) float scratch[4 * kTileWords];
  const bool down = p.a_row == 1, finishes = p.finish || p.learned || p.keep || p.sums || p.rows16 || p.pairs;
  Job job{p, {}, nullptr, 0, p.accumulate, finishes, ending_of(p), {}, scratch};
  const int all = up(p.depth, kTile) / kTile;
  const int parts = down && !job.finishes ? (all + kDeepest - 1) / kDeepest : 1;
  const int deep = (all + parts - 1) / parts;
  tile_configure(kTile);
  for (int k0 = 0; k0 < p.depth; k0 += deep * kTile) {
    const int depth = p.depth - k0 < deep * kTile ? p.depth - k0 : deep * kTile;
    job.steps = up(depth, kTile) / kTile;
    Word* right = right_scratch.need(2 * job.steps * kTileWords);
    job.right = right;
    if (down) {
      Word* turned = left_scratch.need(static_cast<size_t>(up(p.rows, 2 * kTile)) * job.steps * kTile);
      turn_left(p, k0, depth, job.steps, turned);
      job.left = {turned, static_cast<size_t>(job.steps) * kTile, job.steps, nullptr};
    } else {
      Word* tails = nullptr;
      const int whole = depth / kTile;
      if (whole < job.steps) lay_tails(p, whole, tails = left_scratch.need(static_cast<size_t>(p.rows) * kTile));
      job.left = {reinterpret_cast<const Word*>(p.a), p.a_row, whole, tails};
    }
    for (int n = 0; n < p.columns; n += 2 * kTile) {
      if (p.columns - n >= 2 * kTile) lay_right<true>(p, n, k0, depth, job.steps, right), column<2>(job, n);
      else lay_right<false>(p, n, k0, depth, job.steps, right), column<1>(job, n);
    }
    job.accumulate = true;
  }
  job.pending.some(p, job.ending, job.pending.rows);
  tile_release();
}

}  // namespace tiles
